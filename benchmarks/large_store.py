"""Make a large store of a small one, to measure load: its products again and again under other ids.

python benchmarks/large_store.py demo/store --products 40000 --out large.store

Texts, photos and patch states are the same; embeddings are changed at random, so that copies are no variants.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count, cycle, islice

import numpy as np

from kaleidobert.data.product import Product
from kaleidobert.index.lancedb_store import LanceDBIndex
from kaleidobert.index.opening import open_index
from kaleidobert.index.protocol import ProductIndex
from kaleidobert.index.records import StoredView
from kaleidobert.index.vector_index import tune

NOISE = 0.3  # length of what is added to an embedding; variants have a cosine of 0.98, copies at most 0.96
WRITE_ROWS = 2000


def copies(index: ProductIndex, rng: np.random.Generator) -> Iterator[StoredView]:
    """The first photo of every product, again and again."""
    found = {product_id: each[0] for product_id in index.product_ids() if (each := index.product(product_id))}
    keys = [each.key for each in found.values()]
    vectors, states, photos = index.vectors(keys), index.states(keys), index.thumbnails(keys)
    for number, each in zip(count(), cycle(found.values())):
        vector = vectors[each.key] + rng.normal(0, NOISE / len(vectors[each.key]) ** 0.5, len(vectors[each.key]))
        labels = {"category": each.category, "subcategory": each.subcategory, "attributes": each.attributes}
        product = Product(f"{each.id}-{number}", each.title, each.description, **labels)
        unit = vector / np.linalg.norm(vector)
        yield StoredView(product, 0, unit, each.hubness, states[each.key], photos[each.key], each.box)


def main(given: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store")
    parser.add_argument("--products", type=int, default=40_000)
    parser.add_argument("--out", required=True, help="the store to write")
    arguments = parser.parse_args(given)

    index, rng = open_index(arguments.store), np.random.default_rng(0)
    large = LanceDBIndex.create(arguments.out, replace(index.info, index={}))
    views = islice(copies(index, rng), arguments.products)
    while rows := list(islice(views, WRITE_ROWS)):
        large.upsert(rows)
    large.optimize()
    tune(large, np.stack([view.vector for view in islice(copies(index, rng), 100)]))
    print(f"{large.rows():,} products in {arguments.out}; vector search: {large.info.index or 'exact'}")


if __name__ == "__main__":
    main()
