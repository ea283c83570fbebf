"""Make a large store of a small one, to measure load: its products again and again under other ids.

python benchmarks/large_store.py demo/store --products 40000 --out large.store

Texts, photos and patch states are the same; embeddings are changed at random, so that copies are no variants.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from kaleidobert.benchmark.store import enlarge


def main(given: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store")
    parser.add_argument("--products", type=int, default=40_000)
    parser.add_argument("--out", required=True, help="the store to write")
    arguments = parser.parse_args(given)

    large = enlarge(arguments.store, arguments.out, arguments.products)
    print(f"{large.rows():,} products in {arguments.out}; vector search: {large.info.index or 'exact'}")


if __name__ == "__main__":
    main()
