"""Every supported source in its real format, and everything that can be wrong with one."""

import io
import json
import logging
import zipfile

import datasets
import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from kaleidobert.data.product import Region
from kaleidobert.data.readers import Problems, load_columns, read_products, splits_of
from kaleidobert.data.splits import split_of
from kaleidobert.errors import InputError


def encoded(colour="red", kind="JPEG"):
    buffer = io.BytesIO()
    Image.new("RGB", (6, 8), colour).save(buffer, kind)
    return buffer.getvalue()


JPEG = encoded()


def write_parquet(path, rows, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path, **options)
    return path


def shop_rows(numbers):
    return [{"id": n, "title": f"Shirt {n}", "image": {"bytes": JPEG, "path": f"{n}.jpg"}} for n in numbers]


def ids(*arguments, **named):
    return [product.id for product in read_products(*arguments, **named)]


# --- parquet ---------------------------------------------------------------------------------------------


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


# --- CSV and JSONL ---------------------------------------------------------------------------------------


@pytest.fixture
def photos(tmp_path):
    (tmp_path / "photos").mkdir()
    for name in ("a", "b", "çanta"):
        (tmp_path / "photos" / f"{name}.jpg").write_bytes(JPEG)
    return tmp_path


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


def test_every_bad_line_is_reported_with_its_place_and_reason(photos):
    (photos / "photos/corrupt.jpg").write_bytes(b"\xff\xd8 no")
    lines = [
        b"id,title,image",
        b"1,Good,photos/a.jpg",
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
            "images are not downloaded: save https://a.example/7.jpg and give the file's path instead",
        ),
        ("line 9", "title is not valid UTF-8 text; save the file as UTF-8"),
        ("line 10", "no product id (column id)"),
        ("line 12", "duplicate product id 1"),
    ]


def test_an_unclosed_quote_is_reported_with_its_extent(photos):
    (photos / "shop.csv").write_text('id,title,image\n1,"Open,photos/a.jpg\n2,Lost,photos/a.jpg\n')
    with pytest.raises(InputError, match="line 2: 2 cells where the header has 3 up to line 3: a quote left open"):
        ids(photos / "shop.csv")


def test_too_many_bad_rows_are_reported_in_one_line(photos):
    rows = [f"{n},Bag,photos/{'a' if n % 10 else 'gone'}.jpg" for n in range(1, 101)]
    (photos / "shop.csv").write_text("\n".join(["id,title,image", *rows]))
    with pytest.raises(InputError) as error:
        ids(photos / "shop.csv")
    assert str(error.value).startswith(
        "10 of 100 rows could not be used (10.0%), more than the 5.0% allowed; "
        f"correct the rows or raise max_bad: {photos / 'shop.csv'}, line 11: "
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
    assert shoe.attributes == {"sold": "True"}
    assert [example.partition("shop.jsonl, ")[2][:22] for example in report.examples] == [
        "line 3: title holds di",
        "line 4: broken JSON (E",
        "line 5: a JSON list wh",
    ]


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


# --- columns ---------------------------------------------------------------------------------------------


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


# --- Kaggle ----------------------------------------------------------------------------------------------


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


# --- Fashion-Gen -----------------------------------------------------------------------------------------


def write_fashion_gen(path, product_ids):
    """Fashion-Gen's keys, shapes and types; rows of one product hold that product's texts."""
    count = len(product_ids)
    texts = {
        **{"name": "BLACK ÇANTA {}", "description": "Long sleeve {}.<br>Ribbed collar.", "category": "TOPS"},
        **{
            "subcategory": "T-SHIRTS",
            "gender": "Men",
            "season": "SS2017",
            "brand": "Y-3",
            "pose": "id_gridfs_1",
        },
        **{"department": "CLOTHING", "composition": "100% cotton", "concat_description": "all of {}"},
    }
    with h5py.File(path, "w") as file:
        for key, text in texts.items():
            cells = [[text.format(product_id).encode("iso8859-9")] for product_id in product_ids]
            file.create_dataset(f"input_{key}", data=np.array(cells, dtype="S400"))
        file["input_productID"] = np.array(product_ids, dtype=np.int64)[:, None]
        file["input_msrpUSD"] = np.full((count, 1), 550, dtype=np.float32)
        file["index"] = np.arange(count)[:, None]
        file["index_2"] = np.arange(count)
        pixels = np.arange(count, dtype=np.uint8)[:, None, None, None]
        file["input_image"] = np.broadcast_to(pixels, (count, 256, 256, 3))
    return path


def test_fashion_gen_with_a_product_s_views_apart(tmp_path):
    path = write_fashion_gen(tmp_path / "fashiongen_256_256_train.h5", [70, 71, 70, 72, 71, 70])
    first, second, third = read_products(path)
    assert [product.id for product in (first, second, third)] == ["70", "71", "72"]
    assert (first.title, first.description) == ("BLACK ÇANTA 70", "Long sleeve 70. Ribbed collar.")
    assert (first.category, first.subcategory) == ("TOPS", "T-SHIRTS")
    assert first.attributes == {
        **{"gender": "Men", "season": "SS2017", "brand": "Y-3", "department": "CLOTHING"},
        **{"composition": "100% cotton", "msrpUSD": "550"},
    }
    views = [
        [product.open(view).getpixel((5, 5))[0] for view in range(len(product.images))] for product in (first, second)
    ]
    assert views == [[0, 2, 5], [1, 4]]
    assert first.images[0].startswith(b"\x89PNG")


def test_a_fashion_gen_folder_has_the_splits_of_its_files(tmp_path):
    write_fashion_gen(tmp_path / "fashiongen_256_256_train.h5", [1, 2])
    write_fashion_gen(tmp_path / "fashiongen_256_256_validation.h5", [3])
    assert splits_of(tmp_path) == ("train", "validation")
    assert ids(tmp_path, "validation") == ["3"]
    assert ids(tmp_path) == ["1", "2", "3"]
    with pytest.raises(InputError, match="no split 'test'; it has: train, validation"):
        read_products(tmp_path, "test")


def test_another_hdf5_file(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["images"] = np.zeros(3)
    with pytest.raises(InputError, match="not Fashion-Gen: no input_image and no input_productID; it contains: images"):
        read_products(tmp_path / "a.h5")
    (tmp_path / "b.h5").write_bytes(b"no")
    with pytest.raises(InputError, match="b.h5: not a readable HDF5 file"):
        read_products(tmp_path / "b.h5")


# --- Hugging Face ----------------------------------------------------------------------------------------


def saved(rows):
    return datasets.Dataset.from_list(rows).cast_column("image", datasets.Image())


def test_save_to_disk_with_and_without_splits(tmp_path):
    saved(shop_rows([1, 2])).save_to_disk(tmp_path / "plain")
    parts = {"train": saved(shop_rows([1, 2])), "val": saved(shop_rows([3]))}
    datasets.DatasetDict(parts).save_to_disk(tmp_path / "parts")
    products = list(read_products(tmp_path / "plain"))
    assert [product.images for product in products] == [(JPEG,), (JPEG,)]  # still encoded as they were
    assert splits_of(tmp_path / "parts") == ("train", "validation")
    assert ids(tmp_path / "parts", "validation") == ids(tmp_path / "parts", "val") == ["3"]


def test_a_folder_that_load_dataset_can_read(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for split, numbers in {"train": [1, 2], "test": [3]}.items():
        (tmp_path / split).mkdir()
        for number in numbers:
            (tmp_path / split / f"{number}.jpg").write_bytes(JPEG)
        lines = [json.dumps({"file_name": f"{n}.jpg", "id": n, "title": f"Bag {n}"}) for n in numbers]
        (tmp_path / split / "metadata.jsonl").write_text("\n".join(lines))
    assert splits_of(tmp_path) == ("train", "validation", "test")
    (product,) = read_products(tmp_path, "test")
    assert (product.id, product.title) == ("3", "Bag 3")
    assert product.open().size == (6, 8)


def test_images_inside_an_archive(tmp_path):
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        archive.writestr("1.jpg", JPEG)
    lines = [{"id": n, "title": "Bag", "image": f"zip://{n}.jpg::{tmp_path / 'photos.zip'}"} for n in (1, 2)]
    (tmp_path / "shop.jsonl").write_text("\n".join(map(json.dumps, lines)))
    report = Problems()
    (product,) = read_products(tmp_path / "shop.jsonl", max_bad=0.5, report=report)
    assert product.images == (JPEG,)
    assert "2.jpg" in report.summary()


def test_a_name_on_the_hub_is_streamed(monkeypatch):
    asked = []

    def load_dataset(name, streaming):
        asked.append((name, streaming))
        return {
            "train": saved(shop_rows([1])).to_iterable_dataset(),
            "test": saved(shop_rows([2])).to_iterable_dataset(),
        }

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    (product,) = read_products("owner/fashion", "test")
    assert (product.id, product.images) == ("2", (JPEG,))
    assert asked == [("owner/fashion", True)]


def test_a_name_that_is_not_on_the_hub(monkeypatch):
    def load_dataset(name, streaming):
        raise ConnectionError(f"Couldn't reach {name!r}\n{streaming}")

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    with pytest.raises(InputError, match="owner/fashion: no such file or folder, nor a Hugging Face dataset") as error:
        read_products("owner/fashion")
    assert "\n" not in str(error.value)


# --- splits ----------------------------------------------------------------------------------------------


def test_a_single_file_is_divided_by_product(tmp_path):
    path = write_parquet(tmp_path / "shop.parquet", shop_rows(range(60)))
    assert splits_of(path) == ("train", "validation", "test")
    parts = {split: ids(path, split) for split in splits_of(path)}
    assert sorted(sum(parts.values(), []), key=int) == [str(n) for n in range(60)]
    assert all(split_of(product_id) == split for split, part in parts.items() for product_id in part)


def test_validation_is_taken_from_train_if_there_is_only_test(tmp_path):
    write_parquet(tmp_path / "train.parquet", shop_rows(range(60)))
    write_parquet(tmp_path / "test.parquet", shop_rows(range(60, 65)))
    assert splits_of(tmp_path) == ("train", "validation", "test")
    train, validation, test = (ids(tmp_path, split) for split in splits_of(tmp_path))
    assert validation
    assert sorted(train + validation, key=int) == [str(n) for n in range(60)]
    assert test == [str(n) for n in range(60, 65)]
    assert len(ids(tmp_path)) == 65


def test_a_broken_line_is_counted_in_one_split_only(photos):
    lines = [f"{n},Bag,photos/a.jpg" if n % 10 else "broken" for n in range(1, 201)]
    (photos / "shop.csv").write_text("\n".join(["id,title,image", *lines]))
    reports = {split: Problems() for split in ("train", "validation", "test")}
    for split, report in reports.items():
        ids(photos / "shop.csv", split, max_bad=1, report=report)
    assert sum(report.count for report in reports.values()) == 20
    assert sum(report.total for report in reports.values()) == 200


def test_shards_and_aliases_of_splits(tmp_path):
    write_parquet(tmp_path / "hub/train-00000-of-00002.parquet", shop_rows([1]))
    write_parquet(tmp_path / "hub/train-00001-of-00002.parquet", shop_rows([2]))
    write_parquet(tmp_path / "hub/valid.parquet", shop_rows([3]))
    write_parquet(tmp_path / "hub/notes.parquet", [{"note": "no product"}])
    assert splits_of(tmp_path / "hub") == ("train", "validation")
    assert ids(tmp_path / "hub", "train") == ["1", "2"]
    write_parquet(tmp_path / "lake/part-0.parquet", shop_rows([1]))
    write_parquet(tmp_path / "lake/part-1.parquet", shop_rows([2]))
    assert ids(tmp_path / "lake") == ["1", "2"]


# --- nothing to read -------------------------------------------------------------------------------------


def test_sources_that_do_not_exist(tmp_path, monkeypatch):
    def empty(path):
        path.touch()
        return path

    (tmp_path / "empty").mkdir()
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/readme.md").write_text("x")
    (tmp_path / "shop.xlsx").touch()
    (tmp_path / "no.parquet").write_bytes(b"PAR0")
    (tmp_path / "blank.jsonl").write_text("\n\n")
    (tmp_path / "header.csv").write_text("id,title,image\n")
    messages = {
        tmp_path / "gone.parquet": "no such file or folder",
        tmp_path / "empty": "the folder is empty; expected train/validation/test files",
        tmp_path / "notes": "no data found; expected train/validation/test files",
        tmp_path / "shop.xlsx": "unknown suffix; supported are .parquet",
        empty(tmp_path / "empty.csv"): "the file is empty",
        tmp_path / "no.parquet": "not a readable parquet file",
        tmp_path / "blank.jsonl": "no line with a JSON object",
        tmp_path / "header.csv": "no product in it",
    }
    for path, message in messages.items():
        with pytest.raises(InputError, match=f"{path.name}: {message}") as error:
            list(read_products(path))
        assert "\n" not in str(error.value)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="no such file or folder$"):
        read_products("notes/shop")  # it looks like a name on the Hub, but the folder is here
    with pytest.raises(InputError, match="no split 'holdout'; it has: train, validation, test"):
        read_products("header.csv", "holdout")
    with pytest.raises(InputError, match="max_bad is a share"):
        read_products("header.csv", max_bad=5)
