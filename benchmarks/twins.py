"""How many of a split's photos are in training, too, under another product, and what retrieval is without them.

python benchmarks/twins.py DATA --model runs/mini --queries 1000

Shops sell one product under several ids, and photograph many alike. A twin is a training photo whose locked portion,
made 12 pixels wide, differs by less than ``--twin`` of 255 grey levels (root mean square). A memory of training
products finds twins first, so their queries are easy: R@1 is told of all queries, and of those without a twin.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from kaleidobert.evaluation.metrics.retrieval import DIRECTIONS, partner_ranks
from kaleidobert.evaluation.retrieval import SCORERS, drawn_table, encode, ranked_by, score
from kaleidobert.model import load_run
from kaleidobert.scoring.pair_scorer import RERANK
from kaleidobert.training.dataset import PreparedDataset, prepare

SIDE = 12


def thumbnails(catalogue: PreparedDataset) -> Tensor:
    """First views (N, F), in grey levels."""
    first = catalogue.first_view[:-1]
    parts = [
        torch.tensor(catalogue.pixels[rows]).permute(0, 3, 1, 2)
        for rows in np.array_split(first, 1 + len(first) // 512)
    ]
    return torch.cat([F.adaptive_avg_pool2d(part.float(), SIDE).flatten(1) for part in parts])


def nearest(photos: Tensor, others: Tensor) -> Tensor:
    """Root mean square differences (N,) of photos (N, F) from the nearest of others (M, F)."""
    distances = [torch.cdist(part, others).amin(dim=1) for part in photos.split(256)]
    return torch.cat(distances) / photos.shape[1] ** 0.5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--split", default="test")
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--rerank", type=int, default=RERANK)
    parser.add_argument("--twin", type=float, default=2.5)
    parser.add_argument("--seed", type=int, default=0, help="as of `kaleidobert evaluate`, whose candidates these are")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()

    model, processor = load_run(arguments.model)
    catalogue, train = (
        prepare(arguments.data, split, processor.image_processor) for split in (arguments.split, "train")
    )
    twin = nearest(thumbnails(catalogue), thumbnails(train)) < arguments.twin
    table = drawn_table(catalogue, "101", arguments.queries, arguments.seed)
    alone = ~twin[torch.from_numpy(table[:, 0])].numpy()
    found = score(model, encode(model, processor, catalogue), table, arguments.rerank)
    figures: dict = {"photos with a twin": 100 * twin.float().mean().item(), "queries without": int(alone.sum())}
    print(f"{figures['photos with a twin']:.1f} % of {len(catalogue):,} photos have a twin among {len(train):,}")
    for scorer in SCORERS:
        for way, name in zip(found, DIRECTIONS, strict=True):
            first = partner_ranks(ranked_by(scorer, model, way).numpy()) == 1
            figures[f"{scorer} {name}"] = [100 * float(each.mean()) for each in (first, first[alone])]
            print(f"{scorer:9} {name}  R@1 {{:.1f}}, without twins {{:.1f}}".format(*figures[f"{scorer} {name}"]))
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
