"""Marqo's KAGL tasks: find products of the Fashion Product Images data by title, category, colour, season or usage.

The ground truth is that of marqo-ai/marqo-FashionCLIP: one JSON file per task, {query: {product id: 1}}. The products
are those of a catalogue, all splits together, joined by id.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from kaleidobert.data.readers import read_products
from kaleidobert.data.reading import BY_DEFAULT, Reading
from kaleidobert.data.sources import splits_of
from kaleidobert.errors import InputError
from kaleidobert.evaluation.gallery import Gallery
from kaleidobert.evaluation.metrics.ranking import ranking_figures
from kaleidobert.evaluation.pair_scores import Embedded, embed, pair_scores
from kaleidobert.evaluation.retrieval import fits_of
from kaleidobert.files import write_whole
from kaleidobert.scoring.protocol import TextBatch
from kaleidobert.scoring.scorer import KaleidoBertScorer
from kaleidobert.training.data_summary import load_data_summary
from kaleidobert.training.dataset import prepare

TASKS = {  # by name, the file of each
    "text to image": "ground_truth_text-image.json",
    "category": "ground_truth_category1-image+text.json",
    "sub-category": "ground_truth_category2-image+text.json",
    "fine category": "ground_truth_category3-image+text.json",
    "colour": "ground_truth_baseColour-image+text.json",
    "season": "ground_truth_season-image+text.json",
    "usage": "ground_truth_usage-image+text.json",
}
TITLES = "titles of the test split"  # text to image, with many more queries
GROUPS = ("all", "unseen", "seen")
TOP = 10  # products ranked for a query
CHUNK = 256  # queries at a time
TEXT_SHARE = 0.1  # of the title's embedding beside the photo's, in the documents of Marqo's label tasks

Truth = Mapping[str, Collection[str]]  # for each query the ids of the right products
Ranker = Callable[[Sequence[str], Collection[str]], list[list[str]]]  # queries, ids to leave out -> ids, best first


@dataclass(frozen=True)
class Catalogue:
    """ids of all products at hand with their title and split, in one order."""

    ids: list[str]
    titles: list[str]
    splits: list[str]

    @property
    def trained(self) -> set[str]:
        """The ids of the train split."""
        return {each for each, split in zip(self.ids, self.splits, strict=True) if split == "train"}

    def only(self, ids: Collection[str]) -> Catalogue:
        """Those of these ids."""
        kept = set(ids)
        rows = [row for row, each in enumerate(self.ids) if each in kept]
        return Catalogue(*([column[row] for row in rows] for column in (self.ids, self.titles, self.splits)))

    def test_titles(self) -> Truth:
        """Each title of the test split with all products of that title."""
        owners: dict[str, set[str]] = defaultdict(set)
        for product, title in zip(self.ids, self.titles, strict=True):
            owners[title].add(product)
        return {t: owners[t] for t, split in zip(self.titles, self.splits, strict=True) if split == "test" and t}


def load_ground_truth(folder: Path) -> dict[str, Truth]:
    """The queries of each of ``TASKS`` whose file is there. Raises ``InputError`` without any, or for a damaged one."""
    found: dict[str, Truth] = {}
    for task, name in TASKS.items():
        file = folder / name
        if not file.is_file():
            continue
        try:
            content = json.loads(file.read_text())
            found[task] = {query: {each for each, right in ids.items() if right > 0} for query, ids in content.items()}
        except (OSError, ValueError, AttributeError, TypeError) as error:
            raise InputError(
                f"{file}: no ground truth ({' '.join(str(error).split())}); it must be {{query: {{product id: 1}}}}"
            ) from None
    if not found:
        raise InputError(
            f"{folder}: no ground truth there; it holds files such as {', '.join(list(TASKS.values())[:2])}"
        )
    return found


def evaluate_kagl(
    data: str | Path,
    ground_truth: Path,
    run: Path,
    reading: Reading = BY_DEFAULT,
    rerank: int | None = None,
) -> dict[str, Any]:
    """The tasks on all splits of a catalogue, ranked by a run; see `kagl_figures`.

    Rows: ``vectors``, ``vectors + titles`` with the documents of Marqo's label tasks (a tenth of the title's embedding
    in each photo's), with ``rerank`` also ``combined``, and with a memory the same again. The figures are written to
    the run's ``evaluation/``.
    """
    truth = load_ground_truth(ground_truth)
    scorer = KaleidoBertScorer.from_pretrained(run)
    splits = {split: prepare(data, split, scorer.processor.image_processor, reading) for split in splits_of(data)}
    catalogue = Catalogue(
        [each for part in splits.values() for each in part.ids],
        [each for part in splits.values() for each in part.titles],
        [split for split, part in splits.items() for _ in part.ids],
    )
    gallery = Gallery.encode(scorer, splits, joint=bool(rerank))
    rankers: dict[str, Ranker] = {}
    for ending, fit in fits_of(scorer).items():
        rankers |= {
            row + ending: ranker.rank
            for row, ranker in _rankers(fit, gallery, catalogue.ids, rerank, not ending).items()
        }
    figures = kagl_figures(truth, catalogue, rankers)
    figures |= {"data": Path(data).name, "trained_on": trained_on(run), "rerank": rerank}
    (run / "evaluation").mkdir(exist_ok=True)
    name = f"kagl-{Path(data).name}" + (f"-rerank{rerank}" if rerank else "")
    write_whole(json.dumps(figures, indent=2) + "\n", run / "evaluation" / f"{name}.json")
    return figures


def trained_on(run: Path) -> str | None:
    """The name of the data that a run was trained on; None where it was not recorded."""
    summary = load_data_summary(run)
    return None if summary is None else summary["data"]


def read_catalogue(data: str | Path, reading: Reading = BY_DEFAULT) -> Catalogue:
    """The products of all splits of a source, without their photos."""
    found = [
        (product, split)
        for split in splits_of(data)
        for product in read_products(data, split, reading.columns, reading.max_bad)
    ]
    ids, titles = [product.id for product, _ in found], [product.title or product.text for product, _ in found]
    return Catalogue(ids, titles, [split for _, split in found])


def kagl_figures(truth: Mapping[str, Truth], catalogue: Catalogue, rankers: Mapping[str, Ranker]) -> dict[str, Any]:
    """`ranking_figures` of each task and ranker, in ``rows``: {row: {task: {group: figures and queries}}}.

    Queries of which no right product is at hand are left out and counted. Groups: ``all``; for text to image
    ``unseen``, queries none of whose right products is of the train split, and ``seen``, the others, both among all
    products; for the other tasks the same queries among the products outside the train split alone, and among those of
    it alone. Raises ``InputError`` where no product of the ground truth is at hand.
    """
    here, trained = set(catalogue.ids), catalogue.trained
    tasks = {**truth, TITLES: catalogue.test_titles()}
    known = {task: {query: set(ids) & here for query, ids in queries.items()} for task, queries in tasks.items()}
    known = {task: {query: ids for query, ids in queries.items() if ids} for task, queries in known.items()}
    if not any(known[task] for task in truth):
        raise InputError(
            f"none of the {len(here):,} products is in the ground truth; give the catalogue that it was made of"
        )
    figures: dict[str, Any] = {"task": "kagl", "products": len(here), "trained": len(trained)}
    figures["queries_left_out"] = {task: len(tasks[task]) - len(known[task]) for task in tasks}
    rows: dict[str, dict] = {}
    for row, rank in rankers.items():
        rows[row] = {}
        for task, queries in known.items():
            if "titles" in row and task in _BY_TITLE:
                continue  # a title finds itself
            groups = _by_title(queries, trained, rank) if task in _BY_TITLE else _by_label(queries, here, trained, rank)
            rows[row][task] = {group: found for group, found in zip(GROUPS, groups, strict=True) if found}
    return figures | {"rows": rows}


_BY_TITLE = ("text to image", TITLES)


def _by_title(queries: Truth, trained: set[str], rank: Ranker) -> list[dict[str, float]]:
    """The figures of all queries, and of those whose right products are new or not; ranked once."""
    texts = list(queries)
    ranked = dict(zip(texts, rank(texts, ()), strict=True)) if texts else {}
    new = [query for query in texts if not trained & set(queries[query])]
    parts = (texts, new, [query for query in texts if trained & set(queries[query])])
    return [_figures([ranked[query] for query in part], [queries[query] for query in part]) for part in parts]


def _by_label(queries: Truth, here: set[str], trained: set[str], rank: Ranker) -> list[dict[str, float]]:
    """The figures among all products, among new ones alone, and among trained ones alone."""
    found = []
    for gone in (set(), trained, here - trained):
        asked = {query: set(ids) - gone for query, ids in queries.items()}
        asked = {query: ids for query, ids in asked.items() if ids}
        found.append(_figures(rank(list(asked), gone) if asked else [], list(asked.values())))
    return found


def _figures(ranked: Sequence[Sequence[str]], right: Sequence[Collection[str]]) -> dict[str, float]:
    return {"queries": len(ranked), **ranking_figures(ranked, right)} if ranked else {}


class RunRanker:
    """Ranks the N products of a gallery for texts by a run: by embeddings, and the best ``rerank`` by all scores.

    ``text_share``: of the titles' embeddings in the products'.
    """

    def __init__(
        self,
        scorer: KaleidoBertScorer,
        gallery: Gallery,
        embedded: Embedded,
        ids: Sequence[str],
        rerank: int = 0,
        text_share: float = 0.0,
    ) -> None:
        self.scorer, self.gallery, self.ids, self.rerank = scorer, gallery, ids, rerank
        images = embedded.images
        if text_share:
            images = F.normalize((1 - text_share) * images + text_share * embedded.texts, dim=-1)
        self.images, self.hubness = images.to(scorer.device), embedded.image_hubness.to(scorer.device)

    @torch.inference_mode()
    def rank(self, queries: Sequence[str], gone: Collection[str]) -> list[list[str]]:
        """The ids of the best ``TOP`` products for each query, without those ``gone``."""
        absent = torch.tensor([each in gone for each in self.ids], device=self.scorer.device)
        ranked = []
        for start in range(0, len(queries), CHUNK):
            texts = self.scorer.encode_texts(queries[start : start + CHUNK])
            scores = self.scorer.similarity(texts.embeds @ self.images.T, texts.hubness[:, None] + self.hubness)
            scores = scores.float().masked_fill(absent, float("-inf"))
            found = scores.topk(min(max(self.rerank, TOP), len(self.ids)), dim=1)
            order = found.indices
            if self.rerank:
                head = found.values[:, : self.rerank], order[:, : self.rerank]
                order = torch.cat([self._reranked(texts, *head), order[:, self.rerank :]], dim=1)
            present = (~absent)[order]
            ranked += [
                [self.ids[row] for row, here in zip(rows, known, strict=True) if here][:TOP]
                for rows, known in zip(order.tolist(), present.tolist(), strict=True)
            ]
        return ranked

    def _reranked(self, texts: TextBatch, similarity: Tensor, rows: Tensor) -> Tensor:
        """The rows (Q, K) in the order of the combined score."""
        scorer, count = self.scorer, rows.shape[1]
        if not scorer.weights.joint_weight["TIR"]:
            return rows
        query = torch.arange(len(rows)).repeat_interleave(count)
        asked = self.gallery.encoded.asking(scorer, texts)
        joint = pair_scores(scorer, asked, query, rows.cpu().flatten(), "joint scores").view(rows.shape)
        combined = scorer.combine(similarity, joint.to(similarity.device))
        return rows.gather(1, combined.argsort(dim=1, descending=True, stable=True))


def _rankers(
    scorer: KaleidoBertScorer, gallery: Gallery, ids: Sequence[str], rerank: int | None, titles: bool
) -> dict[str, RunRanker]:
    """The rankers of one fit by the name of their row."""
    embedded = embed(scorer, gallery.encoded)
    found = {"vectors": RunRanker(scorer, gallery, embedded, ids)}
    if titles:
        found["vectors + titles"] = RunRanker(scorer, gallery, embedded, ids, text_share=TEXT_SHARE)
    if rerank:
        found["combined"] = RunRanker(scorer, gallery, embedded, ids, rerank)
    return found
