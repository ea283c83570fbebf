import json
import logging
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fixtures.source_files import JPEG, encoded, write_parquet
from kaleidobert.data.problems import Problems
from kaleidobert.data.reading import Reading
from kaleidobert.data.splits import split_of
from kaleidobert.errors import InputError
from kaleidobert.model import KaleidoBertImageProcessor
from kaleidobert.progress import note_once
from kaleidobert.training import dataset as module
from kaleidobert.training import locking
from kaleidobert.training.dataset import prepare
from kaleidobert.vision.saliency.network import SaliencyNetwork, save_network

PROCESSOR = KaleidoBertImageProcessor(24)


@pytest.fixture(scope="module")
def rows(drawn_products) -> list[dict[str, Any]]:
    return drawn_products(64, seed=7)


@pytest.fixture(scope="module")
def train(rows) -> list[dict[str, Any]]:
    return [row for row in rows if split_of(row["id"]) == "train"]


@pytest.fixture
def source(rows, tmp_path) -> Path:
    """A CSV file beside its images; two-view products have both in one cell."""
    folder = tmp_path / "shop"
    folder.mkdir()
    lines = ["id,title,category,subcategory,images"]
    for row in rows:
        names = [f"{row['id']}-{view}.png" for view in range(len(row["images"]))]
        for name, image in zip(names, row["images"], strict=True):
            (folder / name).write_bytes(image)
        lines.append(f"{row['id']},{row['title']},{row['category']},{row['subcategory']},{'|'.join(names)}")
    (folder / "products.csv").write_text("\n".join(lines) + "\n")
    return folder / "products.csv"


def truncate(source: Path, product: str) -> None:
    """Cut a photo short: its header can still be read."""
    photo = source.parent / f"{product}-0.png"
    photo.write_bytes(photo.read_bytes()[:120])


def test_texts_and_labels(source, train):
    catalogue = prepare(source, "train", PROCESSOR)
    assert catalogue.ids == [row["id"] for row in train]
    assert catalogue.texts == [row["title"] for row in train]
    assert catalogue.categories == [row["category"] for row in train]
    assert catalogue.subcategories == [row["subcategory"] for row in train]
    assert len(catalogue) == len(train) > 40


def test_views_are_stored_product_by_product(source, train):
    catalogue = prepare(source, "train", PROCESSOR)
    views = [len(row["images"]) for row in train]
    assert 2 in views
    assert catalogue.first_view.tolist() == [0, *np.cumsum(views)]
    assert catalogue.pixels.shape == (sum(views), 24, 24, 3) and catalogue.pixels.dtype == np.uint8
    for index in (0, views.index(2)):
        for view in range(views[index]):
            with Image.open(source.parent / f"{catalogue.ids[index]}-{view}.png") as photo:
                expected = PROCESSOR.lock(photo.convert("RGB"))
            assert np.array_equal(catalogue.pixels[catalogue.first_view[index] + view], expected)


def test_a_second_call_does_not_read_the_source(source, monkeypatch, own_cache):
    first = prepare(source, "train", PROCESSOR)
    assert len(list(own_cache.iterdir())) == 1  # in KALEIDOBERT_CACHE, without a scratch folder left over

    def refuse(*_, **__):
        raise AssertionError("read again")

    monkeypatch.setattr(module, "read_products", refuse)
    second = prepare(source, "train", KaleidoBertImageProcessor(24))
    assert second.ids == first.ids and np.array_equal(second.pixels, first.pixels)
    with pytest.raises(AssertionError):
        prepare(source, "test", PROCESSOR)
    with pytest.raises(AssertionError):
        prepare(source, "train", KaleidoBertImageProcessor(32))
    with pytest.raises(AssertionError):
        prepare(source, "train", KaleidoBertImageProcessor(24, "none"))
    with pytest.raises(AssertionError):
        prepare(source, "train", KaleidoBertImageProcessor(24, resample=Image.Resampling.BICUBIC))


def test_settings_after_the_locked_portion_do_not_matter(source, own_cache):
    for processor in (PROCESSOR, KaleidoBertImageProcessor(24, do_normalize=True, image_mean=[0.1, 0.2, 0.3])):
        prepare(source, "validation", processor)
    assert len(list(own_cache.iterdir())) == 1


def test_a_changed_source_is_read_again(source, train, own_cache):
    prepare(source, "train", PROCESSOR)
    source.write_text(source.read_text().replace(f"{train[0]['id']},red", f"{train[0]['id']},scarlet"))
    assert prepare(source, "train", PROCESSOR).texts[0].startswith("scarlet")
    assert len(list(own_cache.iterdir())) == 2


def test_undecodable_photos_are_counted(source, train):
    truncate(source, train[3]["id"])
    problems = Problems()
    catalogue = prepare(source, "train", PROCESSOR, problems=problems)
    assert catalogue.ids == [row["id"] for row in train if row["id"] != train[3]["id"]]
    assert (problems.count, problems.total) == (1, len(train))
    assert train[3]["id"] in problems.summary() and "photo 0 cannot be read" in problems.summary()


def test_a_product_is_kept_with_its_other_photos_as_in_an_index(tmp_path):
    cut = encoded(kind="PNG")[:44]  # with a sound header
    rows = [{"id": n, "title": f"Bag {n}", "images": [JPEG, cut if n == 2 else JPEG]} for n in range(60)]
    source = write_parquet(tmp_path / "train.parquet", rows)
    write_parquet(tmp_path / "test.parquet", rows[:1])
    problems = Problems()
    found = [prepare(source.parent, split, PROCESSOR, problems=problems) for split in ("train", "validation")]
    views = {id: count for each in found for id, count in zip(each.ids, np.diff(each.first_view), strict=True)}
    assert len(views) == 60 and views["2"] == 1 and views["3"] == 2
    assert problems.count == 1 and "2: photo 1 cannot be read" in problems.summary()


def test_other_processes_prepare_the_same(source, train, monkeypatch, own_cache):
    truncate(source, train[3]["id"])
    here = prepare(source, "train", PROCESSOR)
    expected = here.pixels[:], here.ids, here.first_view.tolist()
    shutil.rmtree(own_cache)
    monkeypatch.setattr(locking, "FEW", 1)
    monkeypatch.setattr(locking, "CHUNK", 4)
    problems = Problems()
    found = prepare(source, "train", PROCESSOR, problems=problems)
    assert np.array_equal(found.pixels, expected[0]) and (found.ids, found.first_view.tolist()) == expected[1:]
    assert problems.count == 1 and train[3]["id"] in problems.summary()


def test_skipped_products_are_logged_if_nobody_counts_them(source, train, caplog):
    truncate(source, train[3]["id"])
    with caplog.at_level(logging.WARNING):
        prepare(source, "train", PROCESSOR)
    assert f"1 of {len(train)} rows could not be used" in caplog.text


def test_too_many_bad_photos_are_an_error_and_leave_no_cache(source, train, own_cache):
    for row in train[:4]:
        truncate(source, row["id"])
    with pytest.raises(InputError, match=f"4 of {len(train)} rows could not be used"):
        prepare(source, "train", PROCESSOR)
    assert not list(own_cache.iterdir())


def test_an_interrupted_preparation_leaves_no_cache(source, monkeypatch, own_cache):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(locking, "_lock", stop)
    with pytest.raises(KeyboardInterrupt):
        prepare(source, "train", PROCESSOR)
    assert not list(own_cache.iterdir())


def test_the_default_cache_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("KALEIDOBERT_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert module.cache_folder() == tmp_path / ".cache" / "kaleidobert"


def test_text_groups_and_head(catalogue):
    groups = catalogue.text_groups()
    assert groups.shape == (64,) and len(set(groups.tolist())) == 40
    assert groups[40] == groups[0] and groups[41] == groups[1] and groups[0] != groups[1]
    head = catalogue.head(9)
    assert len(head) == 9 and len(head.first_view) == 10 and len(head.pixels) == 10  # the eighth has two views
    assert head.texts == catalogue.texts[:9] and len(catalogue.head(999)) == 64


def test_a_sample_is_of_whole_products_in_their_order(catalogue):
    """Each with its own first view, drawn by the seed."""
    drawn = catalogue.sample(20, seed=3)
    places = [catalogue.ids.index(each) for each in drawn.ids]
    assert len(drawn) == 20 == len(drawn.pixels) and places == sorted(set(places)) != list(range(20))
    assert np.array_equal(drawn.pixels, catalogue.pixels[catalogue.first_view[places]])
    assert drawn.texts == [catalogue.texts[place] for place in places]
    assert drawn.ids == catalogue.sample(20, seed=3).ids != catalogue.sample(20, seed=4).ids
    assert catalogue.sample(999, seed=0).ids == catalogue.ids


def test_titles_that_differ_in_case_and_spaces_are_one_group(catalogue):
    other = json.loads(json.dumps(catalogue.titles))
    other[5] = f"  {other[0].upper().replace(' ', '   ')} "
    changed = replace(catalogue, titles=other)
    assert changed.text_groups()[5] == changed.text_groups()[0]


def test_photos_without_a_product_are_counted_and_used_whole(source, train, caplog):
    Image.new("RGB", (48, 56), "white").save(source.parent / f"{train[3]['id']}-0.png")
    with caplog.at_level(logging.WARNING):
        catalogue = prepare(source, "train", PROCESSOR)
    assert "no product found in 1 of" in caplog.text
    assert (catalogue.pixels[catalogue.first_view[3]] == 255).all()


def test_other_weights_give_another_preparation(source, tmp_path, own_cache):
    weights = tmp_path / "net.safetensors"
    for finest in (8, 12):
        save_network(SaliencyNetwork(0.25, (16, 16, 8, finest)), weights, side=32)
        for _ in range(2):
            prepare(source, "validation", KaleidoBertImageProcessor(24, str(weights)))
    assert len(list(own_cache.iterdir())) == 2


def in_sub_folder(source: Path) -> Path:
    """The same catalogue with its photos in a folder ``photos`` beside the file."""
    (source.parent / "photos").mkdir()
    for photo in source.parent.glob("*.png"):
        photo.rename(source.parent / "photos" / photo.name)
    rows = source.read_text().splitlines()
    moved = [
        row.rpartition(",")[0] + "," + "|".join(f"photos/{name}" for name in row.rpartition(",")[2].split("|"))
        for row in rows[1:]
    ]
    source.write_text("\n".join([rows[0], *moved]) + "\n")
    return source.parent / "photos"


@pytest.mark.parametrize("whole", [True, False])  # the data is the file, or its folder
def test_a_replaced_photo_in_a_sub_folder_is_prepared_again(source, train, whole):
    photos, data = in_sub_folder(source), source if whole else source.parent
    before = prepare(data, "train", PROCESSOR)
    Image.new("RGB", (48, 56), "black").save(photos / f"{train[0]['id']}-0.png")
    assert not np.array_equal(prepare(data, "train", PROCESSOR).pixels[0], before.pixels[0])


def test_a_photo_that_was_missing_is_found_later(source, train):
    photos = in_sub_folder(source)
    photo = photos / f"{train[0]['id']}-0.png"
    found = photo.read_bytes()
    photo.unlink()
    assert train[0]["id"] not in prepare(source, "train", PROCESSOR).ids
    photo.write_bytes(found)
    assert train[0]["id"] in prepare(source, "train", PROCESSOR).ids


@pytest.mark.parametrize("name", ["pixels.raw", "products.json", "photos.json"])
def test_a_damaged_cache_is_named(source, own_cache, name):
    prepare(source, "train", PROCESSOR)
    [folder] = own_cache.iterdir()
    (folder / name).write_bytes(b"[")
    with pytest.raises(InputError, match=f"{folder}: this cache .* is damaged .*: delete the folder"):
        prepare(source, "train", PROCESSOR)


def test_a_cache_that_cannot_be_written_is_named(source, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("KALEIDOBERT_CACHE", str(tmp_path / "file"))
    with pytest.raises(InputError, match="file: prepared photos cannot be written .* KALEIDOBERT_CACHE"):
        prepare(source, "train", PROCESSOR)


def test_it_says_once_how_many_products_of_how_many_rows(source, rows, train, capsys):
    note_once.cache_clear()
    for _ in range(3):  # as a pre-training does: for its captioner, itself, and its ranking
        prepare(source, "train", PROCESSOR)
    said = f"{source} (train): {len(train)} products of {len(rows)} rows"
    assert capsys.readouterr().err.count(said) == 1
    assert len(prepare(source, None, PROCESSOR)) == len(rows)
    assert f"{source}: {len(rows)} products of {len(rows)} rows" in capsys.readouterr().err


def test_more_bad_rows_can_be_allowed(source, train):
    for row in train[:6]:
        truncate(source, row["id"])
    with pytest.raises(InputError, match="more than the 5.0% allowed; correct the rows or raise --max-bad"):
        prepare(source, "train", PROCESSOR)
    assert len(prepare(source, "train", PROCESSOR, Reading(max_bad=0.2))) == len(train) - 6
