"""Exports in their true formats with odd contents: what a line, a cell or a label becomes."""

import json

import pytest

from fixtures.source_files import JPEG
from kaleidobert.data.images import UnreadableImage, check_header
from kaleidobert.data.readers import Problems, read_products

SHOPIFY = "Handle,Title,Option1 Name,Option1 Value,Variant Price,Image Src,Published\n"
WOOCOMMERCE = "ID,Type,SKU,Name,Description,Regular price,Images\n"
GOOGLE = "id\ttitle\tdescription\timage link\n"


@pytest.fixture
def read(tmp_path):
    for name in "abc":
        (tmp_path / f"{name}.jpg").write_bytes(JPEG)

    def products(name, content):
        (tmp_path / name).write_text(content)
        report = Problems()
        return list(read_products(tmp_path / name, max_bad=1.0, report=report)), report

    return products


def test_a_broken_line_between_variants_leaves_their_product_whole(read):
    lines = ["s,Shirt,Size,S,10.00,a.jpg,true", 's,,"broken', "s,,,M,9.00,b.jpg,", "t,Tie,Title,Default Title,5,c.jpg,"]
    (shirt, tie), report = read("shop.csv", SHOPIFY + "\n".join(lines))
    assert (len(shirt.images), shirt.attributes["price"], shirt.attributes["Size"]) == (2, "9.00", "S, M")
    assert tie.id == "t" and report.count == 1 and "line 3" in report.summary()


@pytest.mark.parametrize("price", ["NaN", "inf", "1_0", ""])
def test_the_lowest_price_is_a_number(read, price):
    (shirt,), _ = read("shop.csv", f"{SHOPIFY}s,Shirt,Size,S,{price},a.jpg,true\ns,,,M,12.00,,\n")
    assert shirt.attributes["price"] == "12.00"


def test_what_woocommerce_adds_to_texts_is_taken_off(read):
    (product,), _ = read("shop.csv", WOOCOMMERCE + r"1,simple,S,'-20% Shirt,Soft\nand warm\nC:\\new,12,a.jpg")
    assert product.title == "-20% Shirt"
    assert product.description == "Soft\nand warm\nC:\\\\new"


@pytest.mark.parametrize(
    ("categories", "expected"),
    [
        ({"hierarchicalCategories": {"lvl9": "Men", "lvl10": "Men > Shoes"}}, ("Men", "Shoes")),
        ({"hierarchicalCategories": {"lvl0": "Men", "lvl1": None, "lvl2": []}}, ("Men", "")),
        ({"hierarchicalCategories": {"lvl0": None}}, ("", "")),
        ({"categories": [{"id": 1, "name": "Shoes"}]}, ("Shoes", "")),
        ({"categories": [None, "Bags"]}, ("Bags", "")),
    ],
)
def test_labels_of_algolia_s_records(read, categories, expected):
    record = {"objectID": "1", "name": "A", "image": "a.jpg"} | categories
    (product,), _ = read("shop.json", json.dumps([record]))
    assert (product.category, product.subcategory) == expected


def test_a_number_of_too_many_digits_is_text(read):
    cell = "9" * 5000
    (product,), _ = read("shop.json", f'[{{"id": 1, "name": "A", "image": "a.jpg", "code": {cell}}}]')
    assert product.attributes["code"] == cell


def test_a_quote_left_open_takes_in_no_records_of_a_feed(read):
    lines = ['1\t"Boot\tx\ta.jpg', "2\tBelt\tx\tb.jpg", '3\tCap"\tx\tc.jpg']
    products, report = read("feed.tsv", GOOGLE + "\n".join(lines))
    assert [each.id for each in products] == ["2", "3"]
    assert report.count == 1 and "line 2" in report.summary() and "a quote left open?" in report.summary()


def test_a_line_break_in_a_cell_of_a_feed(read):
    (product,), _ = read("feed.tsv", GOOGLE + '1\tBoot\t"warm\nand dry"\ta.jpg\n')
    assert product.description == "warm\nand dry"


def test_delimiters_at_the_end_of_lines(read):
    (one, two), _ = read("shop.csv", "id,title,image\n1,A,a.jpg,\n2,B,b.jpg,,,\n")
    assert (one.title, two.title) == ("A", "B")


def test_no_photo_is_decoded_by_another_program():
    with pytest.raises(UnreadableImage, match="EPS is not read"):
        check_header(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n")


@pytest.mark.parametrize("cell", ['"1\n2"', "1\v2", '"1\r\n2"', ".", ".."])
def test_an_id_that_no_address_can_have_is_a_reported_row(read, cell):
    (good,), report = read("shop.csv", f"id,title,image\n{cell},A,a.jpg\n9,B,b.jpg\n")
    assert good.id == "9" and report.count == 1 and "line 2: the product id" in report.summary()


@pytest.mark.parametrize(
    ("cells", "attributes"),
    [
        ({"price": {"EUR": "1.234,50 €"}}, {"price.EUR": "1234.50", "price.EUR currency": "€"}),
        ({"offers": [{"price": "9,50"}, {"price": "1.000,00"}]}, {"offers.price": "9.50, 1000.00"}),
        ({"attributes": {"price": "1.234,50"}}, {"price": "1234.50"}),
        ({"a": {"b": {"c": "1.234,50"}}, "size": {"b": "1.234"}}, {"a.b.c": "1234.50", "size.b": "1.234"}),
    ],
)
def test_amounts_in_nested_values_are_numbers(read, cells, attributes):
    (product,), _ = read("shop.jsonl", json.dumps({"id": "1", "title": "A", "image": "a.jpg"} | cells))
    assert product.attributes == attributes


def test_amounts_in_elements_of_a_feed_are_numbers(read):
    item = "<g:id>1</g:id><g:title>A</g:title><g:image_link>a.jpg</g:image_link><g:shipping><g:price>4,90 EUR</g:price>"
    feed = f'<rss xmlns:g="http://base.google.com/ns/1.0"><item>{item}</g:shipping></item></rss>'
    (product,), _ = read("feed.xml", feed)
    assert product.attributes == {"shipping.price": "4.90", "shipping.price currency": "EUR"}
