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
# Portions (views, S, S, 3) uint8 of readable photos, how many have a product found, and what is wrong with the others.
Locked = tuple[np.ndarray, int, str]


def lock_products(
    products: Iterable[Product], image_processor: KaleidoBertImageProcessor
) -> Iterator[tuple[Product, Locked]]:
    """Each product, in order, with the locked portions of its views."""
    iterator = iter(products)
    for product in islice(iterator, FEW):
        yield product, _lock(product, image_processor)
    with Parallel(n_jobs=-1) as processes:
        yield from lock_in(processes, iterator, image_processor)


def lock_in(
    processes: Parallel, products: Iterable[Product], image_processor: KaleidoBertImageProcessor
) -> Iterator[tuple[Product, Locked]]:
    """`lock_products` by these processes."""
    iterator = iter(products)
    while chunk := list(islice(iterator, CHUNK)):
        found = processes(delayed(_lock)(product, image_processor) for product in chunk)
        yield from zip(chunk, found, strict=True)


def _lock(product: Product, image_processor: KaleidoBertImageProcessor) -> Locked:
    opened, wrong = product.open_all(image_processor.photo_side)
    views = [image_processor.lock_or_whole(image) for _, image in opened]
    portions = np.stack([portion for portion, _ in views]) if views else np.empty(0, dtype=np.uint8)
    return portions, sum(found for _, found in views), wrong
