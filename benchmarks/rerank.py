"""Quality and cost of re-ranking: recall and latency over K, the number of candidates that the joint model scores.

python benchmarks/rerank.py DATA --model runs/mini --queries 300 --out rerank.png

Embeddings rank all candidates and the joint model re-ranks the best K, as in a search (K = 0: embeddings alone).
Latency is the median over ``--repeats`` queries of one joint pass over K candidates, from stored patch states. Writes
the picture and, beside it, its figures as JSON.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from matplotlib.figure import Figure

from common import add_queries, add_run, catalogue_parser, open_run, write_json
from kaleidobert.evaluation.background import Background
from kaleidobert.evaluation.metrics.retrieval import partner_ranks, retrieval_figures
from kaleidobert.evaluation.pair_scores import (
    DirectionScores,
    EncodedProducts,
    autocast,
    best,
    encode,
    ranked_by,
    score,
)
from kaleidobert.evaluation.retrieval import draw_table
from kaleidobert.scoring.ranking import DIRECTIONS
from kaleidobert.scoring.scorer import KaleidoBertScorer

COUNTS = (0, 1, 2, 5, 10, 20, 35, 50, 75, 101)


def quality(scorer: KaleidoBertScorer, directions: Sequence[DirectionScores], count: int) -> dict:
    """Retrieval figures where the joint model re-ranks the best ``count`` of the candidates that it has scored."""
    if not count:
        return retrieval_figures(*(partner_ranks(ranked_by("vectors", scorer, each).numpy()) for each in directions))
    ranks = []
    for each in directions:
        head = best(each.vectors.masked_fill(each.missing, float("-inf")), count) & ~each.missing
        ranks.append(partner_ranks(ranked_by("combined", scorer, replace(each, head=head)).numpy()))
    return retrieval_figures(*ranks)


@torch.inference_mode()
def latency(scorer: KaleidoBertScorer, encoded: EncodedProducts, count: int, repeats: int) -> float:
    """Milliseconds of one query's joint pass over ``count`` candidates: the median, after one warm-up query."""
    if not count:
        return 0.0
    seconds = []
    for query in range(repeats + 1):
        mask = encoded.attention_mask[query % len(encoded.texts)][None]
        ids = encoded.input_ids[query % len(encoded.texts)][None, : int(mask.sum())]
        inputs = (ids.expand(count, -1), mask[:, : ids.shape[1]].expand(count, -1), encoded.patch_states[:count])
        started = time.perf_counter()
        with autocast(scorer):
            scorer.joint_scores(*(part.to(scorer.device) for part in inputs)).cpu()
        seconds.append(time.perf_counter() - started)
    return 1000 * sorted(seconds[1:])[repeats // 2]


def draw(rows: list[dict], path: Path) -> None:
    figure = Figure(figsize=(9.6, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    for direction, name in zip(DIRECTIONS, ("text to image", "image to text"), strict=True):
        recalls = [row[direction]["R@1"] for row in rows]
        left.plot([row["K"] for row in rows], recalls, marker=".", label=name)
        right.plot([row["milliseconds"] for row in rows], recalls, marker=".", label=name)
    left.set(xlabel="K, candidates that the joint model scores", ylabel="R@1 in percent")
    right.set(xlabel="joint pass of one query, milliseconds", ylabel="R@1 in percent")
    for axes in (left, right):
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    left.legend(frameon=False)
    figure.savefig(path, dpi=150)


def main(given: Sequence[str] | None = None) -> None:
    parser = catalogue_parser(__doc__)
    add_run(parser)
    add_queries(parser, 300)
    parser.add_argument("--out", type=Path, required=True, help="the picture, a PNG; figures go into a JSON beside it")
    parser.add_argument("--protocol", choices=("101", "full"), default="101")
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--joint-weight", type=float, help="use this instead of the fitted weight")
    arguments = parser.parse_args(given)

    scorer, dataset = open_run(arguments.model, arguments.data, arguments.split)
    if arguments.joint_weight is not None:
        joint_weight = dict.fromkeys(DIRECTIONS, arguments.joint_weight)
        scorer = scorer.with_weights(replace(scorer.weights, joint_weight=joint_weight))
    table = draw_table(dataset, arguments.protocol, arguments.queries, arguments.seed)
    encoded = encode(scorer, dataset)
    if background := Background.load(scorer, arguments.data):
        encoded = background.with_prior(scorer, encoded, dataset.ids)
    counts = [count for count in COUNTS if count <= table.shape[1]]
    directions = score(scorer, encoded, table, rerank=counts[-1])
    rows = []
    for count in counts:
        passed = latency(scorer, encoded, count, arguments.repeats)
        rows.append({"K": count, "milliseconds": round(passed, 2), **quality(scorer, directions, count)})
        one, other = (rows[-1][direction]["R@1"] for direction in DIRECTIONS)
        print(f"K {count:>3}: {passed:7.1f} ms, R@1 {one:.1f} and {other:.1f}, SumR {rows[-1]['SumR']:.1f}")
    figures: dict = {"protocol": arguments.protocol, "split": arguments.split, "queries": len(table)}
    figures |= {
        "seed": arguments.seed,
        "joint_weight": dict(scorer.weights.joint_weight),
        "device": str(scorer.device),
    }
    figures |= {"threads": torch.get_num_threads(), "curve": rows}
    write_json(figures, arguments.out.with_suffix(".json"))
    draw(rows, arguments.out)


if __name__ == "__main__":
    main()
