"""Photos of shops' cameras are decoded at a fraction of their size, to the same locked portions."""

from __future__ import annotations

import numpy as np
import pytest

from kaleidobert.data.product import Product
from kaleidobert.model import KaleidoBertImageProcessor
from kaleidobert.synthetic import generate
from kaleidobert.training.locking import lock_products


@pytest.fixture(scope="module")
def large() -> list[Product]:
    return [Product(each.id, each.title, images=each.images[:1]) for each in generate(4, seed=3, size=(1125, 1500))]


@pytest.mark.parametrize("saliency", ["network", "border-colour"])
def test_large_photos_have_the_boxes_and_pixels_of_whole_decoding(saliency: str, large: list[Product]) -> None:
    processor = KaleidoBertImageProcessor(160, saliency, keep_aspect=True)
    for product, (portions, found, _) in lock_products(large, processor):
        whole, reduced = product.open(), product.open(side=processor.photo_side)
        assert whole.size == (1125, 1500) and reduced.size == (563, 750)
        boxes = np.array([processor.locked_box(each)[0] for each in (whole, reduced)])
        assert np.abs(boxes[0] - 2 * boxes[1]).max() <= 4  # two pixels of the smaller photo
        expected, whole_found = processor.lock_or_whole(whole)
        assert found == whole_found
        assert np.abs(portions[0].astype(float) - expected).mean() < 2  # of 255


def test_photos_keep_what_a_small_product_needs(large: list[Product]) -> None:
    """A product of a third of the photo still has as many pixels as the portion."""
    processor = KaleidoBertImageProcessor(224)
    assert min(large[0].open(side=processor.photo_side).size) >= 3 * 224
