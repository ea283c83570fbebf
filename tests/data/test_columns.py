"""Matching columns to fields."""

from pathlib import Path

import pytest

from kaleidobert.data.columns import ALIASES
from kaleidobert.data.readers import load_columns, read_products
from kaleidobert.errors import InputError


def test_a_mapping_overrides_the_known_names(photos):
    (photos / "shop.csv").write_text("id,name,detail_desc,pic\n1,Brand,Red bag,photos/a.jpg\n")
    (photos / "columns.yaml").write_text("title: detail_desc\nimage: pic\nsubcategory: name\n")
    (product,) = read_products(photos / "shop.csv", columns=load_columns(photos / "columns.yaml"))
    assert (product.title, product.subcategory, product.attributes) == ("Red bag", "Brand", {})
    (photos / "columns.json").write_text('{"title": "detail_desc"}')
    assert load_columns(photos / "columns.json") == {"title": "detail_desc"}


@pytest.mark.parametrize(
    ("header", "mapping", "message"),
    [
        ("id,title,pic", None, "no image column among: id, title, pic; name it in a columns file"),
        ("id,colour,image", None, "no title or description column among: id, colour, image"),
        (
            "id,title,image",
            {"title": "tilte"},
            "no column 'tilte' .mapped to title.; it has: id, title, image",
        ),
        ("id,title,image", {"titel": "title"}, "no field 'titel'; the fields are id, title, description"),
    ],
)
def test_columns_that_cannot_be_identified(tmp_path, header, mapping, message):
    (tmp_path / "shop.csv").write_text(f"{header}\n1,a,b\n")
    with pytest.raises(InputError, match=message):
        read_products(tmp_path / "shop.csv", columns=mapping)


@pytest.mark.parametrize("text", ["- a\n- b\n", "title: [a]\n", "title: {", ""])
def test_invalid_columns_files(tmp_path, text):
    (tmp_path / "columns.yaml").write_text(text)
    with pytest.raises(InputError, match="columns.yaml"):
        load_columns(tmp_path / "columns.yaml")
    with pytest.raises(InputError, match="cannot be read"):
        load_columns(tmp_path / "missing.yaml")


def test_the_page_on_catalogues_lists_every_recognised_name():
    page = (Path(__file__).parents[2] / "docs" / "catalogues.md").read_text().partition("## Other tables")[2]
    rows = [row.split("|")[1:3] for row in page.splitlines() if row.startswith("| ")][1:]
    listed = {field.strip(): tuple("".join(name.split()).lower() for name in names.split(",")) for field, names in rows}
    assert listed == ALIASES


@pytest.mark.parametrize(
    ("name", "text"),
    [("columns.yaml", "title: a\ntitle: c\n"), ("columns.json", '{"title": "a", "title": "c"}')],
)
def test_a_field_that_is_mapped_twice(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match="the key 'title' is there twice"):
        load_columns(tmp_path / name)
