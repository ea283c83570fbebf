"""Bad rows are counted and reported; rows of one product are merged."""

import logging

import pytest

from fixtures.source_files import ids
from kaleidobert.data.readers import Problems, read_products
from kaleidobert.errors import InputError


def test_every_bad_line_is_reported_with_its_place_and_reason(photos):
    (photos / "photos/corrupt.jpg").write_bytes(b"\xff\xd8 no")
    lines = [
        b"id,title,image",
        "1,Goöd,photos/a.jpg".encode(),  # so that the file is in UTF-8
        b"2,Gone,photos/gone.jpg",
        b"3,Corrupt,photos/corrupt.jpg",
        b"4,,photos/a.jpg",
        b"5,No image,",
        b"6,Comma, unquoted,photos/a.jpg",
        b"7,Remote,https://a.example/7.jpg",
        b"8,Jup\xe9,photos/a.jpg",
        b",No id,photos/a.jpg",
        b"9,Good,photos/b.jpg",
        b"1,Good,photos/a.jpg",
    ]
    (photos / "shop.csv").write_bytes(b"\n".join(lines))
    report = Problems()
    assert ids(photos / "shop.csv", max_bad=1, report=report) == ["1", "9"]
    assert (report.total, report.count) == (11, 9)
    report = Problems()
    report_all = []
    report.add = lambda *problem: report_all.append(problem[1:])
    list(read_products(photos / "shop.csv", report=report))
    assert report_all == [
        ("line 3", f"image file missing: {photos / 'photos/gone.jpg'}"),
        ("line 4", f"image file {photos / 'photos/corrupt.jpg'}: not an image that PIL can read"),
        ("line 5", "no text (column title)"),
        ("line 6", "no image (column image)"),
        ("line 7", "4 cells where the header has 3"),
        (
            "line 8",
            "images are not downloaded unless KALEIDOBERT_DOWNLOAD=1 is set; or save https://a.example/7.jpg "
            "and give its path",
        ),
        ("line 9", "title is not valid UTF-8 text; save the file as UTF-8"),
        ("line 10", "no product id (column id)"),
        ("line 12", "duplicate product id 1"),
    ]


def test_too_many_bad_rows_are_reported_in_one_line(photos):
    rows = [f"{n},Bag,photos/{'a' if n % 10 else 'gone'}.jpg" for n in range(1, 101)]
    (photos / "shop.csv").write_text("\n".join(["id,title,image", *rows]))
    with pytest.raises(InputError) as error:
        ids(photos / "shop.csv")
    assert str(error.value).startswith(
        "10 of 100 rows could not be used (10.0%), more than the 5.0% allowed; "
        f"correct the rows or raise --max-bad: {photos / 'shop.csv'}, line 11: "
        f"image file missing: {photos / 'photos/gone.jpg'}; "
    )
    assert "\n" not in str(error.value)
    assert len(ids(photos / "shop.csv", max_bad=0.1)) == 90


def test_a_file_of_bad_rows_is_abandoned_early(photos):
    with (photos / "shop.csv").open("w") as file:
        file.write("id,title,image\n")
        file.writelines(f"{n},Bag,gone.jpg\n" for n in range(5000))
    report = Problems()
    with pytest.raises(InputError, match="gone.jpg"):
        ids(photos / "shop.csv", report=report)
    assert report.total == 1000


def test_bad_rows_are_logged_if_there_is_no_report(photos, caplog):
    (photos / "shop.csv").write_text("id,title,image\n1,Bag,photos/a.jpg\n2,Bag,gone.jpg\n")
    with caplog.at_level(logging.WARNING):
        ids(photos / "shop.csv", max_bad=0.5)
    assert "1 of 2 rows could not be used (50.0%)" in caplog.text


def test_adjacent_rows_of_one_product_are_its_views(photos):
    (photos / "shop.csv").write_text(
        "id,title,image\n1,Bag,photos/a.jpg\n1,Bag,photos/b.jpg\n1,Other,photos/b.jpg\n2,Shoe,photos/a.jpg\n"
    )
    report = Problems()
    bag, _ = read_products(photos / "shop.csv", max_bad=0.25, report=report)
    assert bag.images == (photos / "photos/a.jpg", photos / "photos/b.jpg")
    assert report.examples[0].endswith("line 4: product id 1 again, with another text")


def test_rows_without_an_id_column_are_numbered(photos):
    (photos / "shop.csv").write_text("title,image\nBag,photos/a.jpg\nBag,photos/b.jpg\n")
    assert ids(photos / "shop.csv") == ["shop-2", "shop-3"]
