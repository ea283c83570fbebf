"""How many of a split's photos also occur in training under another id, and how retrieval does without them.

python benchmarks/twins.py DATA --model runs/mini --queries 1000

Shops sell one product under several ids. A twin is a training photo whose locked portion, scaled to 12 x 12 pixels,
differs by less than ``--twin`` of 255 grey levels (root mean square). A retrieval memory finds twins first, so queries
that have one are easy: R@1 is given for all queries and for those without a twin.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from common import add_queries, add_run, catalogue_parser, open_run, write_json
from kaleidobert.evaluation.metrics.retrieval import WAYS, partner_ranks
from kaleidobert.evaluation.retrieval import SCORERS, drawn_table, encode, ranked_by, score
from kaleidobert.scoring.pair_scorer import RERANK
from kaleidobert.training.dataset import PreparedDataset, prepare

SIDE = 12


def thumbnails(catalogue: PreparedDataset) -> Tensor:
    """Every product's first view, scaled down: (N, F) in grey levels."""
    first = catalogue.first_view[:-1]
    parts = [
        torch.tensor(catalogue.pixels[rows]).permute(0, 3, 1, 2)
        for rows in np.array_split(first, 1 + len(first) // 512)
    ]
    return torch.cat([F.adaptive_avg_pool2d(part.float(), SIDE).flatten(1) for part in parts])


def nearest(photos: Tensor, others: Tensor) -> Tensor:
    """Root mean square differences (N,) between photos (N, F) and the nearest of others (M, F)."""
    distances = [torch.cdist(part, others).amin(dim=1) for part in photos.split(256)]
    return torch.cat(distances) / photos.shape[1] ** 0.5


def main() -> None:
    parser = catalogue_parser(__doc__)
    add_run(parser)
    add_queries(parser)
    parser.add_argument("--rerank", type=int, default=RERANK, help="candidates that the joint model re-ranks")
    parser.add_argument("--twin", type=float, default=2.5, help="largest difference of a twin, in grey levels")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()

    model, processor, catalogue = open_run(arguments.model, arguments.data, arguments.split)
    train = prepare(arguments.data, "train", processor.image_processor)
    twin = nearest(thumbnails(catalogue), thumbnails(train)) < arguments.twin
    table = drawn_table(catalogue, "101", arguments.queries, arguments.seed)
    alone = ~twin[torch.from_numpy(table[:, 0])].numpy()
    found = score(model, encode(model, processor, catalogue), table, arguments.rerank)
    figures: dict = {"photos with a twin": 100 * twin.float().mean().item(), "queries without": int(alone.sum())}
    print(f"{figures['photos with a twin']:.1f} % of {len(catalogue):,} photos have a twin among {len(train):,}")
    for scorer in SCORERS:
        for way, name in zip(found, WAYS, strict=True):
            first = partner_ranks(ranked_by(scorer, model, way).numpy()) == 1
            figures[f"{scorer} {name}"] = [100 * float(each.mean()) for each in (first, first[alone])]
            print(f"{scorer:9} {name}  R@1 {{:.1f}}, without twins {{:.1f}}".format(*figures[f"{scorer} {name}"]))
    write_json(figures, arguments.json)


if __name__ == "__main__":
    main()
