"""The synthetic catalogue is reproducible and varied, and its texts, masks and regions are correct."""

import io
import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from kaleidobert.data.product import Product
from kaleidobert.errors import InputError
from kaleidobert.synthetic import contact_sheet, generate, sample_look, write_catalogue
from kaleidobert.synthetic.fabric import CONTRASTS
from kaleidobert.synthetic.kinds import KINDS
from kaleidobert.synthetic.wording import PATTERNS, description_of, phrases_in, terms_of, title_of

SMALL = (96, 128)
LOOKS = [sample_look(np.random.default_rng([4, index])) for index in range(300)]


@pytest.fixture(scope="module")
def products() -> list[Product]:
    return list(generate(50, seed=3, size=SMALL))


def mask_of(product: Product, view: int) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(product.masks[view]))) > 127


def test_product_depends_on_seed_and_index_alone(products):
    assert list(generate(4, seed=3, size=SMALL)) == products[:4]
    assert next(generate(1, seed=4, size=SMALL)) != products[0]


def test_ids_sizes_and_views(products):
    assert [product.id for product in products[:2]] == ["syn-3-000000", "syn-3-000001"]
    assert {len(product.images) for product in products} == {1, 2, 3}
    for product in products:
        assert len(product.images) == len(product.masks) == len(product.regions)
        assert product.open(0).size == SMALL
        assert Image.open(io.BytesIO(product.masks[0])).size == SMALL


def test_views_of_a_product_differ(products):
    assert all(len(set(product.images)) == len(product.images) for product in products)


def test_masks_cover_some_but_not_all(products):
    covers = [mask_of(product, view).mean() for product in products for view in range(len(product.masks))]
    assert 0.05 < min(covers) and max(covers) < 0.90


def test_strong_colours_before_a_plain_wall_are_masked(products):
    checked = 0
    for product in products:
        picture, mask = np.asarray(product.open(0), np.float32), mask_of(product, 0)
        rim = np.concatenate([picture[:6].reshape(-1, 3), picture[-6:].reshape(-1, 3)])
        vivid = np.ptp(picture, axis=2) > 80  # walls and shadows are grey
        if rim.min() > 200 and vivid.sum() > 200:
            assert mask[vivid].mean() > 0.95, product.title
            checked += 1
    assert checked > 10


def test_regions_name_words_of_the_text_and_lie_on_the_product(products):
    for product in products:
        assert product.regions[0], product.text
        for view, regions in enumerate(product.regions):
            mask = mask_of(product, view)
            height, width = mask.shape
            for region in regions:
                x1, y1, x2, y2 = region.box
                assert region.word in product.text
                assert 0 <= x1 < x2 <= 1 and 0 <= y1 < y2 <= 1
                inside = mask[int(y1 * height) : int(y2 * height) + 1, int(x1 * width) : int(x2 * width) + 1]
                assert inside.any(), (product.title, region)


def test_the_whole_product_is_named_and_boxed(products):
    for product in products:
        boxes = {region.word.lower(): region.box for region in product.regions[0]}
        kind = next(kind for kind in KINDS if kind.subcategory == product.subcategory)
        box = next(boxes[name] for name in kind.names if name in boxes)
        rows, columns = np.nonzero(mask_of(product, 0))
        tight = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        assert np.allclose(np.multiply(box, (*SMALL, *SMALL)), tight, atol=1.01), product.title


def test_variety():
    assert len({look.kind.subcategory for look in LOOKS}) >= 30
    assert len({look.kind.category for look in LOOKS}) == 7
    assert {look.get("colour") for look in LOOKS} == set(CONTRASTS)
    assert {look.get("pattern") for look in LOOKS} == set(PATTERNS)
    assert len({look.get("sleeve") for look in LOOKS}) >= 5
    assert len({look.get("neckline") for look in LOOKS}) >= 8


def test_texts_are_correct_and_varied():
    """No text names a colour or a pattern that the product does not have."""
    titles = set()
    for index, look in enumerate(LOOKS):
        rng = np.random.default_rng([5, index])
        text = f"{title_of(look, rng)}. {description_of(look, rng)}"
        words = set(text.lower().replace(",", " ").replace(".", " ").split())
        assert words & set(CONTRASTS) <= {look.get("colour"), look.get("second_colour")}, text
        assert look.get("colour") in words
        for pattern, names in PATTERNS.items():
            if pattern != look.get("pattern"):
                assert not any(f" {name} " in f" {text.lower()} " for name in names), text
        assert text.count(". ") <= 3
        titles.add(text)
    assert len(titles) == len(LOOKS)


def test_longer_phrases_take_precedence_over_words_inside_them():
    terms = {"chest pocket": "pocket", "pocket": "other", "navy": "body"}
    assert dict(phrases_in("Navy tee with a chest pocket, navy blue", terms)) == {
        "chest pocket": "pocket",
        "Navy": "body",
        "navy": "body",
    }
    assert phrases_in("T-Shirt", {"shirt": "whole"}) == []


def test_second_colour_shows_in_the_front_view_when_it_is_named(products):
    seen = 0
    for product in products:
        second = product.attributes.get("second_colour")
        if second and second in product.text.lower():
            assert second in {region.word.lower() for region in product.regions[0]}, product.title
            seen += 1
    assert seen > 5


def test_every_term_of_a_look_belongs_to_its_attributes():
    for look in LOOKS[:50]:
        allowed = {"whole", "body", "neck", "accent", *look.attributes}
        assert set(terms_of(look).values()) <= allowed


def test_catalogue_is_split_by_product_and_reproducible(tmp_path):
    counts = write_catalogue(tmp_path / "a", 11, seed=1)
    write_catalogue(tmp_path / "b", 11, seed=1)
    assert counts == {"train": 9, "validation": 1, "test": 1}
    ids = []
    for split, count in counts.items():
        file = tmp_path / "a" / f"{split}.parquet"
        assert file.read_bytes() == (tmp_path / "b" / f"{split}.parquet").read_bytes()
        rows = pq.read_table(file).to_pylist()
        assert len(rows) == count
        ids += [row["id"] for row in rows]
    assert sorted(ids) == [f"syn-1-{index:06d}" for index in range(11)]


def test_catalogue_rows_hold_the_products(tmp_path):
    write_catalogue(tmp_path, 2, seed=6)
    row = pq.read_table(tmp_path / "train.parquet").to_pylist()[1]
    product = list(generate(2, seed=6))[1]
    assert (row["title"], row["description"]) == (product.title, product.description)
    assert (row["category"], row["subcategory"]) == (product.category, product.subcategory)
    assert json.loads(row["attributes"]) == product.attributes
    assert tuple(image["bytes"] for image in row["images"]) == product.images
    assert tuple(row["masks"]) == product.masks
    words = [[word for word, *_ in view] for view in json.loads(row["regions"])]
    assert words == [[region.word for region in view] for view in product.regions]
    boxes = [box for view in json.loads(row["regions"]) for _, *box in view]
    assert np.allclose(boxes, [region.box for view in product.regions for region in view], atol=1e-4)


@pytest.mark.parametrize(("products", "seed", "named"), [(0, 0, "products"), (-3, 0, "products"), (5, -1, "seed")])
def test_bad_numbers_are_refused(tmp_path, products, seed, named):
    with pytest.raises(InputError, match=named):
        write_catalogue(tmp_path / "none", products, seed)
    assert not (tmp_path / "none").exists()


def test_a_file_in_the_way_is_named(tmp_path):
    (tmp_path / "taken").write_text("x")
    with pytest.raises(InputError, match="taken"):
        write_catalogue(tmp_path / "taken", 1, 0)


def test_contact_sheet_shows_every_product(products):
    sheet = contact_sheet(products[:5], columns=3)
    assert sheet.width > 3 * SMALL[0] and sheet.height > 2 * SMALL[1]
    first = np.asarray(sheet.crop((6, 6, 6 + SMALL[0], 6 + SMALL[1])))
    assert (first == np.asarray(products[0].open(0))).all()
