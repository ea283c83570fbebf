"""Splits of a source, and sources that cannot be read."""

import pytest

from fixtures.source_files import ids, shop_rows, write_parquet
from kaleidobert.data.readers import Problems, read_products, splits_of
from kaleidobert.data.splits import split_of
from kaleidobert.errors import InputError


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
