"""How near the vectors of products with equal texts are, and a sheet of pairs about each threshold.

kaleidobert index catalogue --model runs/mini --store shop.store
python benchmarks/near_duplicates.py shop.store --out pairs.png
"""

from __future__ import annotations

import argparse
import io
from itertools import combinations

import numpy as np
from PIL import Image

from kaleidobert.index.grouping import NEARLY_EQUAL
from kaleidobert.index.lancedb_store import LanceDBIndex

THRESHOLDS = (0.999, 0.99, 0.98, 0.95, 0.9, 0.8)
COLUMNS, CELL = 12, (64, 84)  # pairs a threshold, pixels of a photo


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store")
    parser.add_argument("--out", help="draw the pairs nearest to each threshold here")
    arguments = parser.parse_args()
    store = LanceDBIndex.open(arguments.store)
    products = sorted(store.recall(np.ones(store.info.vector_size), 10**6, exact=True), key=lambda each: each.id)
    found = store.vectors([(each.id, each.view) for each in products])
    vectors = np.stack([found[each.id, each.view] for each in products])
    pairs = np.array(list(same(products, lambda each: (each.title.lower(), each.description.lower()))))
    cosines = nearness(vectors, pairs)
    print(f"{len(products):,} products, {len(pairs):,} pairs with equal texts")
    for threshold in THRESHOLDS:
        print(f"  cosine of at least {threshold}: {(cosines >= threshold).sum():,}")
    shelf = nearness(vectors, np.array(list(same(products, lambda each: each.subcategory))))
    share = (shelf >= NEARLY_EQUAL).mean()
    print(f"pairs of equal sub-category with a cosine of at least {NEARLY_EQUAL}: {share:.4%}")
    if arguments.out:
        sheet(store, products, pairs, cosines).save(arguments.out)


def same(products, key):
    """Pairs of places of products with one key."""
    places: dict = {}
    for place, product in enumerate(products):
        places.setdefault(key(product), []).append(place)
    for own in places.values():
        yield from combinations(own, 2)


def nearness(vectors: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    return np.einsum("nd,nd->n", vectors[pairs[:, 0]], vectors[pairs[:, 1]])


def sheet(store: LanceDBIndex, products, pairs: np.ndarray, cosines: np.ndarray) -> Image.Image:
    """A row a threshold: the pairs whose cosine is nearest to it."""
    drawn = Image.new("RGB", (COLUMNS * (2 * CELL[0] + 16), len(THRESHOLDS) * CELL[1]), "white")
    for row, threshold in enumerate(THRESHOLDS):
        for column, pair in enumerate(pairs[np.argsort(np.abs(cosines - threshold))[:COLUMNS]]):
            for side, place in enumerate(pair):
                key = (products[place].id, products[place].view)
                photo = Image.open(io.BytesIO(store.thumbnails([key])[key]))
                photo.thumbnail(CELL)
                drawn.paste(photo, (column * (2 * CELL[0] + 16) + side * CELL[0], row * CELL[1]))
    return drawn


if __name__ == "__main__":
    main()
