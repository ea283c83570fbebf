"""Image cells in every form, and the ground truth of synthetic catalogues."""

import json

import pytest

from fixtures.source_files import JPEG, encoded, ids, write_parquet
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
