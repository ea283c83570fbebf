"""The locked portions of many products' photos, by as many processes as the machine has cores."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np
from joblib import Parallel, delayed

from kaleidobert.data.product import Product
from kaleidobert.model.image_processing import KaleidoBertImageProcessor

FEW = 1024  # products that are done here, as other processes take seconds to start
CHUNK = 512  # products that the processes get at a time
Locked = tuple[np.ndarray, int]  # portions (views, S, S, 3) uint8, and the number of views with a product found


def lock_products(
    products: Iterable[Product], image_processor: KaleidoBertImageProcessor
) -> Iterator[tuple[Product, Locked | str]]:
    """Each product, in order, with the locked portions of its views, or why it cannot be used."""
    iterator = iter(products)
    for product in islice(iterator, FEW):
        yield product, _lock(product, image_processor)
    with Parallel(n_jobs=-1) as processes:
        while chunk := list(islice(iterator, CHUNK)):
            found = processes(delayed(_lock)(product, image_processor) for product in chunk)
            yield from zip(chunk, found, strict=True)


def _lock(product: Product, image_processor: KaleidoBertImageProcessor) -> Locked | str:
    try:
        views = [image_processor.lock_or_whole(product.open(view)) for view in range(len(product.images))]
        return np.stack([portion for portion, _ in views]), sum(found for _, found in views)
    except (OSError, ValueError, SyntaxError) as error:
        return f"photo cannot be decoded: {error}"
