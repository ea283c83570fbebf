"""Datasets on disk, in folders and on the Hub."""

import json
import zipfile

import datasets
import pytest

from fixtures.source_files import JPEG, ids, shop_rows
from kaleidobert.data.readers import Problems, read_products, splits_of
from kaleidobert.errors import InputError


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
