"""What `test_killed_indexer` starts in a process of its own, to kill it."""

from __future__ import annotations

import functools
import os
from multiprocessing.connection import Connection
from pathlib import Path

COUNT = 48


def index(uri: str, folder: Path, revision: int, acknowledged: Path, new_version: bool, ready: Connection) -> None:
    """Index ``COUNT`` products that this revision changed; append "revision id" of each as soon as it is stored."""
    import torch
    from shop import COLOURS, SHAPES, drawn

    from kaleidobert.data.product import Product
    from kaleidobert.model import load_run
    from kaleidobert.search import indexing
    from kaleidobert.search.store import Store

    torch.set_num_threads(1)
    indexing.WRITE_ROWS = 4  # many writes, so that many a kill falls into one
    Store.optimize = functools.partialmethod(Store.optimize, index_above=COUNT // 2)  # type: ignore
    products = [
        Product(
            id=f"p{number:02d}",
            title=f"bag {number % 6}",
            attributes={"revision": str(revision)},
            images=(drawn(COLOURS[number % 6], SHAPES[number % 2]),),
        )
        for number in range(COUNT)
    ]
    indexer = indexing.Indexer(*load_run(folder), uri, folder, new_version=new_version)
    ready.send("loaded")
    with acknowledged.open("a") as log:

        def written(ids: list[str]) -> None:
            log.writelines(f"{revision} {each}\n" for each in ids)
            log.flush()
            os.fsync(log.fileno())

        indexer.index(products, batch_size=4, written=written)
