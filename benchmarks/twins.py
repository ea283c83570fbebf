"""How many of a split's photos also occur in training under another id, and how retrieval does without them.

python benchmarks/twins.py DATA --model runs/mini --queries 1000

Shops sell one product under several ids. A twin is a training photo whose locked portion, scaled to 12 x 12 pixels,
differs by less than ``--twin`` of 255 grey levels (root mean square). A retrieval memory finds twins first, so queries
that have one are easy: R@1 is given for all queries and for those without a twin.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from common import add_queries, add_run, catalogue_parser, open_run, write_json
from kaleidobert.evaluation.background import Background
from kaleidobert.evaluation.metrics.retrieval import partner_ranks
from kaleidobert.evaluation.pair_scores import encode, ranked_by, score
from kaleidobert.evaluation.retrieval import MEMORY_SCORERS, draw_table
from kaleidobert.scoring.ranking import RERANK
from kaleidobert.training.dataset import PreparedDataset, prepare

SIDE = 12


def thumbnails(dataset: PreparedDataset) -> Tensor:
    """Every product's first view, scaled down: (N, F) in grey levels."""
    first = dataset.first_view[:-1]
    parts = [
        torch.tensor(dataset.pixels[rows]).permute(0, 3, 1, 2) for rows in np.array_split(first, 1 + len(first) // 512)
    ]
    return torch.cat([F.adaptive_avg_pool2d(part.float(), SIDE).flatten(1) for part in parts])


def nearest(photos: Tensor, others: Tensor) -> Tensor:
    """Root mean square differences (N,) between photos (N, F) and the nearest of others (M, F)."""
    distances = [torch.cdist(part, others).amin(dim=1) for part in photos.split(256)]
    return torch.cat(distances) / photos.shape[1] ** 0.5


def main(given: Sequence[str] | None = None) -> None:
    parser = catalogue_parser(__doc__)
    add_run(parser)
    add_queries(parser)
    parser.add_argument("--rerank", type=int, default=RERANK, help="candidates that the joint model re-ranks")
    parser.add_argument("--twin", type=float, default=2.5, help="largest difference of a twin, in grey levels")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args(given)

    scorer, dataset = open_run(arguments.model, arguments.data, arguments.split)
    train = prepare(arguments.data, "train", scorer.processor.image_processor)
    twin = nearest(thumbnails(dataset), thumbnails(train)) < arguments.twin
    table = draw_table(dataset, "101", arguments.queries, arguments.seed)
    alone = ~twin[torch.from_numpy(table[:, 0])].numpy()
    encoded = encode(scorer, dataset)
    if background := Background.load(scorer, arguments.data):
        encoded = background.with_prior(scorer, encoded, dataset.ids)
    found = score(scorer, encoded, table, arguments.rerank)
    figures: dict = {"photos with a twin": 100 * twin.float().mean().item(), "queries without": int(alone.sum())}
    print(f"{figures['photos with a twin']:.1f} % of {len(dataset):,} photos have a twin among {len(train):,}")
    for row in MEMORY_SCORERS:
        for scores in found:
            first = partner_ranks(ranked_by(row, scorer, scores).numpy()) == 1
            name = f"{row} {scores.direction}"
            figures[name] = [100 * float(each.mean()) for each in (first, first[alone])]
            print(f"{name:13} R@1 {{:.1f}}, without twins {{:.1f}}".format(*figures[name]))
    write_json(figures, arguments.json)


if __name__ == "__main__":
    main()
