"""Parquet, CSV, JSONL and Kaggle files in their real format."""

import json

import datasets
import pyarrow.parquet as pq
import pytest

from fixtures.source_files import JPEG, shop_rows, write_parquet
from kaleidobert.data.numbers import with_plain_numbers
from kaleidobert.data.readers import Problems, read_products
from kaleidobert.data.tables import Table
from kaleidobert.errors import InputError


def test_parquet_in_the_layout_of_the_public_release(tmp_path):
    row = {
        **{"id": 15970, "gender": "Men", "masterCategory": "Apparel", "subCategory": "Topwear"},
        **{"articleType": "Shirts", "year": "2011", "usage": None, "rating": 4.0, "stock": float("nan")},
        **{"productDisplayName": "Turtle Check Shirt", "image": {"bytes": JPEG, "path": "15970.jpg"}},
    }
    (product,) = read_products(write_parquet(tmp_path / "a.parquet", [row]))
    assert (product.id, product.title, product.description) == ("15970", "Turtle Check Shirt", "")
    assert (product.category, product.subcategory) == ("Apparel", "Topwear")
    assert product.attributes == {"gender": "Men", "articleType": "Shirts", "year": "2011", "rating": "4"}
    assert product.images == (JPEG,)
    assert product.open().size == (6, 8)


def test_class_numbers_become_class_names(tmp_path):
    features = datasets.Features(
        title=datasets.Value("string"),
        category=datasets.ClassLabel(names=["shoes", "bags"]),
        image=datasets.Image(),
    )
    rows = {"title": ["a", "b"], "category": [1, 0], "image": [{"bytes": JPEG, "path": None}] * 2}
    dataset = datasets.Dataset.from_dict(rows, features=features)
    dataset.to_parquet(tmp_path / "a.parquet")
    dataset.save_to_disk(tmp_path / "saved")
    for source in ("a.parquet", "saved"):
        assert [product.category for product in read_products(tmp_path / source)] == ["bags", "shoes"]


def test_products_before_a_damaged_part_are_still_read(tmp_path):
    path = write_parquet(tmp_path / "a.parquet", shop_rows(range(400)), row_group_size=100, compression="none")
    size = path.stat().st_size
    content = bytearray(path.read_bytes())
    start = pq.ParquetFile(path).metadata.row_group(2).column(0).data_page_offset
    content[start - 40 : start + 200] = b"\xff" * 240
    path.write_bytes(content)
    assert path.stat().st_size == size
    products = read_products(path)
    assert next(products).id == "0"
    with pytest.raises(InputError, match=r"a\.parquet: damaged after row \d+"):
        list(products)


def test_csv_with_a_bom_beside_its_images(photos):
    (photos / "shop.csv").write_text(
        "SKU,Name,Caption,Image Path,Colour\n"
        '1,"Bag, small","Line one\nline two",photos/a.jpg|photos/çanta.jpg,kırmızı\n'
        "\n"
        '2,Shoe,,"[""photos/b.jpg""]",nan\n',
        encoding="utf-8-sig",
    )
    bag, shoe = read_products(photos / "shop.csv")
    assert (bag.id, bag.title, bag.description) == ("1", "Bag, small", "Line one\nline two")
    assert bag.images == (photos / "photos/a.jpg", photos / "photos/çanta.jpg")
    assert bag.attributes == {"Colour": "kırmızı"}
    assert shoe.images == (photos / "photos/b.jpg",)
    assert shoe.attributes == {}


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_csv_of_a_spreadsheet(photos, delimiter):
    lines = [["id", "title", "image"], ["1", "Bag, small", "photos/a.jpg"]]
    (photos / "shop.csv").write_text("\r\n".join(map(delimiter.join, lines)))
    assert [product.title for product in read_products(photos / "shop.csv")] == ["Bag, small"]


def test_an_unclosed_quote_spoils_its_own_line_alone(photos):
    lines = "".join(f"{number},Lost,photos/a.jpg\n" for number in range(2, 40))
    (photos / "shop.csv").write_text('id,title,image\n1,"Open,photos/a.jpg\n' + lines + '40,"5" heels",photos/a.jpg\n')
    problems = Problems()
    found = list(read_products(photos / "shop.csv", report=problems))
    assert [product.id for product in found] == [str(number) for number in range(2, 41)]
    assert found[-1].title == '5 heels"'
    assert "line 2: 2 cells where the header has 3: a quote left open?" in problems.summary()


def test_jsonl_with_lists_numbers_and_a_broken_line(photos):
    lines = [
        {
            "asin": "B1",
            "title": "Bag",
            "images": ["photos/a.jpg", "photos/b.jpg"],
            "price": 9.5,
            "tags": ["x", "y"],
        },
        {"asin": "B2", "title": "Shoe", "images": "photos/a.jpg", "nested": {"a": 1}, "sold": True},
        {"asin": "B3", "title": {"en": "Hat"}, "images": "photos/a.jpg"},
    ]
    text = "\n".join([*map(json.dumps, lines), '{"asin": "B4", "title"', "[1]", ""])
    (photos / "shop.jsonl").write_text(text, encoding="utf-8-sig")
    report = Problems()
    bag, shoe = read_products(photos / "shop.jsonl", report=report, max_bad=1)
    assert len(bag.images) == 2
    assert bag.attributes == {"price": "9.5", "tags": "x, y"}
    assert shoe.attributes == {"nested.a": "1", "sold": "true"}
    assert [example.partition("shop.jsonl, ")[2][:22] for example in report.examples] == [
        "line 3: title holds di",
        "line 4: broken JSON (E",
        "line 5: a JSON list wh",
    ]


def test_kaggle_folder_with_a_comma_in_a_title(tmp_path):
    (tmp_path / "images").mkdir()
    for number in (15970, 39386):
        (tmp_path / "images" / f"{number}.jpg").write_bytes(JPEG)
    (tmp_path / "images.csv").write_text("filename,link\n15970.jpg,http://assets.example/15970.jpg\n")
    (tmp_path / "styles.csv").write_text(
        "id,gender,masterCategory,subCategory,articleType,baseColour,season,year,usage,productDisplayName\n"
        "15970,Men,Apparel,Topwear,Shirts,Navy Blue,Fall,2011,Casual,Turtle Check Men Navy Blue Shirt\n"
        "39386,Men,Apparel,Bottomwear,Jeans,Blue,Summer,2012,NA,Peter England Men Jeans, Blue, Slim\n"
        "12347,Men,Apparel,Topwear,Shirts,Blue,Fall,2011,Casual,No photo\n"
        "12348,Men,Apparel,Topwear\n"
    )
    report = Problems()
    shirt, jeans = read_products(tmp_path, max_bad=0.5, report=report)
    assert shirt.images == (tmp_path / "images/15970.jpg",)
    assert (jeans.title, jeans.subcategory) == ("Peter England Men Jeans, Blue, Slim", "Bottomwear")
    assert "usage" not in jeans.attributes
    assert "12347.jpg" in report.examples[0]
    assert report.examples[1].endswith("styles.csv, line 5: 4 cells where the header has 10")


def test_the_notation_of_numbers_is_learned_once(tmp_path):
    readings = []

    def rows():
        readings.append(1)
        yield from enumerate([{"price": "1.234,50"}, {"price": "7,00"}])

    table = with_plain_numbers(Table("shop", tmp_path, ["price"], rows))
    for _ in range(3):
        assert [row["price"] for _, row in table.rows()] == ["1234.50", "7.00"]
    assert len(readings) == 4
