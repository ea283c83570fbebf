"""Image cells in every form, and the ground truth of synthetic catalogues."""

import base64
import json
import unicodedata

import numpy as np
import pytest

from fixtures.source_files import JPEG, broken_png, encoded, ids, write_parquet
from kaleidobert.data.numbers import LOCALES, parse_amount
from kaleidobert.data.plain_text import plain_text
from kaleidobert.data.product import Region
from kaleidobert.data.readers import Problems, read_products
from kaleidobert.errors import InputError


def test_the_synthetic_schema_with_masks_and_regions(tmp_path):
    row = {
        **{"id": "s1", "title": "red dress", "description": "", "category": "c", "subcategory": "s"},
        "attributes": json.dumps({"colour": "red", "year": 2011}),
        "images": [{"bytes": JPEG, "path": "0.jpg"}, {"bytes": b"broken", "path": "1.jpg"}],
        "masks": [encoded("white", "PNG"), encoded("black", "PNG")],
        "regions": json.dumps([[["dress", 0.1, 0.2, 0.9, 1]], [["red", 0, 0, 1, 1]]]),
    }
    report = Problems()
    (product,) = read_products(write_parquet(tmp_path / "a.parquet", [row]), report=report, max_bad=1)
    assert product.attributes == {"colour": "red", "year": "2011"}
    assert product.images == (JPEG,)  # the unreadable view is dropped with its mask and regions
    assert product.masks == (encoded("white", "PNG"),)
    assert product.regions == ((Region("dress", (0.1, 0.2, 0.9, 1.0)),),)
    assert report.count == 1
    assert "kept with 1 of 2 views" in report.summary()


def test_ground_truth_that_does_not_match_the_views_is_a_bad_row(tmp_path):
    row = {"id": "1", "title": "x", "images": [JPEG], "masks": [JPEG, JPEG], "regions": "[]"}
    broken = {**row, "id": "2", "masks": [], "regions": '[["dress"]]'}
    report = Problems()
    with pytest.raises(InputError, match="1 images but 2 masks"):
        ids(write_parquet(tmp_path / "a.parquet", [row, broken]), report=report)
    assert "regions must be a JSON list" in report.examples[1]


def test_a_regions_column_without_masks_is_an_attribute(tmp_path):
    path = write_parquet(tmp_path / "a.parquet", [{"id": "1", "title": "x", "image": JPEG, "regions": "EU"}])
    (product,) = read_products(path)
    assert product.regions == ()


@pytest.mark.parametrize(
    "cell",
    [
        JPEG,
        {"bytes": JPEG, "path": None},
        "1.jpg",
        {"bytes": None, "path": "1.jpg"},
        ["1.jpg"],
        [JPEG],
        '["1.jpg"]',
    ],
    ids=str,
)
def test_every_form_of_an_image_cell(tmp_path, cell):
    (tmp_path / "1.jpg").write_bytes(JPEG)
    path = write_parquet(tmp_path / "a.parquet", [{"id": "1", "title": "x", "image": cell}])
    (product,) = read_products(path)
    assert product.images in ((JPEG,), (tmp_path / "1.jpg",))


def test_one_damaged_cell_is_one_reported_row(photos):
    (photos / "photos/chunk.png").write_bytes(broken_png())
    cells = ["x" * 5000, "data:image/png;base64,no!", "data:image/png,%89PNG", "photos/\0.jpg", "ftp://", "x" * 300]
    rows = [{"id": n, "title": "Bag", "image": cell} for n, cell in enumerate([*cells, "photos/a.jpg"])]
    lines = [*map(json.dumps, rows), '{"id": 9, "title": "Bag", "image": "photos/a.jpg", "colour\\ud800": "red"}']
    (photos / "shop.jsonl").write_text("\n".join(lines))
    report = Problems()
    assert ids(photos / "shop.jsonl", max_bad=1, report=report) == ["6"]
    assert report.count == len(cells) + 1
    assert all(len(example) < 500 for example in report.examples)


def test_a_damaged_column_name_is_reported_once(photos):
    (photos / "shop.csv").write_bytes(
        "id,title,image,farb\udce9\n1,Çanta,photos/a.jpg,rot\n".encode(errors="surrogateescape")
    )
    report = Problems()
    (bag,) = read_products(photos / "shop.csv", max_bad=1, report=report)
    assert report.count == 1 and "line 1: the column name 'farb\ufffd' is not valid UTF-8" in report.summary()
    assert bag.attributes == {"farb\ufffd": "rot"}


def test_an_image_in_a_data_uri(tmp_path):
    uri = f"data:image/jpeg;base64,{base64.b64encode(JPEG).decode()}"
    (tmp_path / "shop.json").write_text(json.dumps([{"id": 1, "title": "Bag", "image": uri}]))
    (bag,) = read_products(tmp_path / "shop.json")
    assert bag.images == (JPEG,)


def test_names_in_either_unicode_form_and_with_backslashes(tmp_path):
    composed, decomposed = (unicodedata.normalize(form, "Größe/Kleid é.jpg") for form in ("NFC", "NFD"))
    (tmp_path / decomposed).parent.mkdir()
    (tmp_path / decomposed).write_bytes(JPEG)
    header = unicodedata.normalize("NFD", "id,title,image,Größe")
    (tmp_path / "shop.csv").write_text(
        f"{header}\n1,Kleid,{composed},38\n2,Kleid,{decomposed.replace('/', chr(92))},38\n"
    )
    products = list(read_products(tmp_path / "shop.csv"))
    assert [each.attributes for each in products] == [{"Größe": "38"}] * 2
    (bag, _) = read_products(tmp_path / "shop.csv", columns={"category": "Größe"})
    assert bag.category == "38"


def test_numbers_of_any_notation_keep_their_value(photos):
    rows = [
        {
            "preis": "1.234,50 €",
            "weight": "0,5",
            "size": "38,40",
            "rating": np.float32(19.99),
            "new": True,
            "stock": "١٢٫٥",
        },
        {
            "preis": "59,00 €",
            "weight": "1,234",
            "size": "36,38,40",
            "rating": np.float32(0.1),
            "new": False,
            "stock": "٣",
        },
    ]
    common = {"title": "Bag", "image": JPEG}
    path = write_parquet(photos / "a.parquet", [{"id": n, **common, **row} for n, row in enumerate(rows)])
    one, two = (product.attributes for product in read_products(path))
    assert one == {
        **{"preis": "1234.50", "preis currency": "€", "weight": "0.5", "size": "38,40", "rating": "19.99"},
        **{"new": "true", "stock": "12.5"},
    }
    assert (two["weight"], two["size"], two["rating"], two["new"]) == ("1.234", "36,38,40", "0.1", "false")


@pytest.mark.parametrize(
    ("text", "number", "currency"),
    [
        *[("$.99", "0.99", "$"), (".99", "0.99", ""), ("-$5.00", "-5.00", "$"), ("−€12,50", "-12.50", "€")],
        *[("Rs.1,499/-", "1499", "Rs."), ("1.234,-", "1234", ""), ("1.499,00 €*", "1499.00", "€")],
        *[("１，２３４円", "1234", "円"), ("12,000원", "12000", "원"), ("12.345 Ft", "12345", "Ft")],
        *[("١٬٢٣٤٫٥٠ ر.س.\u200f", "1234.50", "ر.س."), ("$12.50 USD", "12.50", "USD"), ("Euro 12,50", "12.50", "Euro")],
    ],
)
def test_signs_marks_and_currencies_of_money(text, number, currency):
    assert {parse_amount(text, locale) for locale in LOCALES} - {None} == {(number, currency)}


@pytest.mark.parametrize("text", ["38 R", "10 ft", "<$50", "€5/m", "€ - 5", "-$-5", "5..10 €"])
def test_what_is_no_amount_stays_text(text):
    assert {parse_amount(text, locale) for locale in LOCALES} == {None}


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>Soft <b>w</b>ool &amp; silk</p><script>x < 1</script>", "Soft wool & silk"),
        ("&lt;p&gt;Soft&lt;/p&gt;", "Soft"),
        ("size <M>, 5 < 6 & 7 <3", "size <M>, 5 < 6 & 7 <3"),
        ("<ul><li>a</li><li>b</li></ul>c<br>d", "a\nb\nc\nd"),
        ("Jack\x01 &#38; Jones\x02", "Jack & Jones"),
    ],
)
def test_html_becomes_text(html, text):
    assert plain_text(html) == text
