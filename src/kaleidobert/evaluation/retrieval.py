"""Measuring retrieval under the two protocols of docs/protocols.md: by vectors, by the joint model, by both."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.progress import Progress
from torch import Tensor
from torch.nn import functional as F

from kaleidobert.errors import InputError
from kaleidobert.evaluation.metrics.retrieval import (
    DIRECTIONS,
    figures_spread,
    partner_ranks,
    recall_intervals,
    retrieval_figures,
)
from kaleidobert.evaluation.protocols import candidate_table, choose_queries, load_candidates, save_candidates
from kaleidobert.model import KaleidoBertForRetrieval, KaleidoBertProcessor, load_run
from kaleidobert.progress import progress_bar
from kaleidobert.scoring.pair_scorer import KaleidoBertScoring
from kaleidobert.training.collators import PairCollator
from kaleidobert.training.dataset import PreparedDataset, prepare

PROTOCOLS = ("101", "full")
SCORERS = ("cosine", "vectors", "joint", "combined")
FITTED = (
    "memory_weight",
    "hubness_weight",
    "joint_scorer",
    "neighbour_word_weight",
    "prior_weight",
    "neighbour_pmi_weight",
    "joint_weight",
    "joint_weight_itr",
)
JointScorer = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]  # the first five arguments of `joint_scores`
JOINT_BATCH = 512  # pairs a joint pass


@dataclass(frozen=True)
class Encoded:
    """N products through the uni-modal entries.

    images and texts: plain vectors (N, V); patches (N, P, H), input_ids and attention_mask (N, T); priors (N, 2), the
    texts' `text_log_prior`.
    """

    images: Tensor
    texts: Tensor
    patches: Tensor
    input_ids: Tensor
    attention_mask: Tensor
    priors: Tensor

    @property
    def read(self) -> tuple[Tensor, Tensor, Tensor]:
        """What the joint model is given of the texts."""
        return self.input_ids, self.attention_mask, self.priors


@dataclass(frozen=True)
class Scores:
    """One direction, ``way``: scores (Q, C) of each query's candidates, the partner in column 0.

    plain: cosine of the contrastive vectors; vectors: the same enhanced by the memory, less hubness; joint: by
    `joint_scores`. ``missing`` (Q, C) bool: places that no candidate fills; ``head``: those that the joint model read.
    """

    way: str
    plain: Tensor
    vectors: Tensor
    joint: Tensor
    missing: Tensor
    head: Tensor


def evaluate_retrieval(
    data: str | Path,
    run: Path,
    split: str = "test",
    protocol: str = "101",
    queries: int | None = None,
    seed: int = 0,
    columns: Mapping[str, str] | None = None,
    draws: int = 1,
    candidates: Path | None = None,
    rerank: int | None = None,
) -> dict:
    """Figures with DESIGN's keys: TIR, ITR and SumR under ``vectors``, ``joint`` and ``combined``.

    ``cosine`` is what the vectors give without the model's memory (see `scoring.cross_modal_memory`); ``intervals`` are those of 95 %
    by the bootstrap over queries.

    ``queries``: how many products of the split ask, drawn by ``seed``; all of them, or 100 under ``full`` without
    ``rerank`` (where each query's joint scores take a pass over the whole split), when not given.
    The candidates are drawn by ``seed`` and saved in the run's ``evaluation/``, by product id, beside the figures.

    ``draws``: queries and candidates are drawn so many times, by ``seed``, ``seed + 1`` ...; figures are means, and
    ``spread`` their standard deviations. ``candidates``: a file of lists as saved, instead of any draw.
    ``rerank``: the joint model reads the best so many by vectors, as in a search; the others stay behind them.
    """
    if protocol not in PROTOCOLS:
        raise InputError(f"no protocol {protocol!r}; use {' or '.join(PROTOCOLS)}")
    model, processor = load_run(run)
    catalogue = prepare(data, split, processor.image_processor, columns)
    if candidates:
        tables = [load_candidates(candidates, catalogue)]
        name = f"{split}-list-{candidates.stem}"
        figures: dict = {"protocol": "list", "split": split, "queries": len(tables[0]), "list": candidates.name}
    else:
        asking = queries or (100 if protocol == "full" and not rerank else None)
        tables = [drawn_table(catalogue, protocol, asking, seed + draw) for draw in range(draws)]
        name = f"{split}-{protocol}-{len(tables[0])}-seed{seed}"
        figures = {"protocol": protocol, "split": split, "queries": len(tables[0]), "seed": seed, "draws": draws}
        for draw, table in enumerate(tables):
            saved = f"candidates-{split}-{protocol}-{len(table)}-seed{seed + draw}.json"
            save_candidates(run / "evaluation" / saved, catalogue, table)
    name += f"-draws{draws}" * (draws > 1) + (f"-rerank{rerank}" if rerank else "")
    figures |= {"data": Path(data).name, "candidates": max(table.shape[1] for table in tables), "rerank": rerank}
    figures |= {name: getattr(model.config, name) for name in FITTED}
    encoded = encode(model, processor, catalogue)
    figures |= scorer_figures(model, [score(model, encoded, table, rerank) for table in tables])
    (run / "evaluation").mkdir(exist_ok=True)
    (run / "evaluation" / f"retrieval-{name}.json").write_text(json.dumps(figures, indent=2) + "\n")
    return figures


def drawn_table(catalogue: PreparedDataset, protocol: str, queries: int | None, seed: int) -> np.ndarray:
    """(Q, C) candidates of queries, both drawn by ``seed``."""
    return candidate_table(catalogue, choose_queries(len(catalogue), queries, seed), protocol, seed)


def scorer_figures(model: KaleidoBertForRetrieval, draws: Sequence[tuple[Scores, Scores]]) -> dict:
    """Each scorer's figures over all draws, their intervals, and where there are several draws their spread."""
    figures: dict = {"intervals": {}}
    for scorer in SCORERS:
        ranks = [[partner_ranks(ranked_by(scorer, model, way).numpy()) for way in ways] for ways in draws]
        figures[scorer] = retrieval_figures(*map(np.concatenate, zip(*ranks, strict=True)))
        asked = len(ranks[0][0])  # the same products may ask in every draw: more draws are not more queries
        figures["intervals"][scorer] = {way: recall_intervals(figures[scorer][way], asked) for way in DIRECTIONS}
        if len(draws) > 1:
            figures.setdefault("spread", {})[scorer] = figures_spread([retrieval_figures(*each) for each in ranks])
    return figures


@torch.inference_mode()
def encode(model: KaleidoBertForRetrieval, processor: KaleidoBertProcessor, catalogue: PreparedDataset) -> Encoded:
    """Every product's first view and text through the uni-modal entries."""
    collator = PairCollator(catalogue, processor.tokenizer, seed=0, augmented=False)
    outputs = []
    longest = max(map(len, processor.tokenizer(catalogue.texts, truncation=True)["input_ids"]))
    with autocast(model), progress_bar() as progress:
        for rows in _batches(progress, len(catalogue), 128, "encoding photos and texts"):
            batch = {name: value.to(model.device) for name, value in collator(rows).items()}
            image = model.encode_image_plain(batch["pixel_values"])
            text = model.kaleidobert.encode_text(batch["input_ids"], batch["attention_mask"])
            padding = longest - batch["input_ids"].shape[1]
            ids = F.pad(batch["input_ids"], (0, padding), value=processor.tokenizer.pad_token_id)
            padded = [ids, F.pad(batch["attention_mask"], (0, padding))]
            priors = model.text_log_prior(batch["input_ids"], batch["attention_mask"])
            outputs.append([image.vectors, text.vectors, image.patches, *padded, priors])
    return Encoded(*(torch.cat(column).cpu() for column in zip(*outputs, strict=True)))


@torch.inference_mode()
def score(
    model: KaleidoBertForRetrieval,
    encoded: Encoded,
    candidates: np.ndarray,
    rerank: int | None = None,
    scorer: JointScorer | None = None,
) -> tuple[Scores, Scores]:
    """Text-to-image and image-to-text scores of each query's candidates (Q, C).

    The joint model reads all of them, or the best ``rerank`` by vectors. ``scorer`` stands in for its `joint_scores`;
    where it gives W scores a pair, ``joint`` is (Q, C, W).
    """
    missing = torch.from_numpy(candidates < 0)
    plain, vectors = plain_scores(encoded, candidates), vector_scores(model, encoded, candidates)
    ways = []
    for way, cosine, similarity, (text, image) in zip(DIRECTIONS, plain, vectors, pairs(candidates), strict=True):
        head = best(similarity.masked_fill(missing, float("-inf")), rerank) & ~missing if rerank else ~missing
        scores = pair_scores(
            model, encoded.read, encoded.patches, text[head], image[head], f"joint scores, {way}", scorer
        )
        joint = torch.zeros(*head.shape, *scores.shape[1:])
        joint[head] = scores
        ways.append(Scores(way, cosine, similarity, joint, missing, head))
    return ways[0], ways[1]


def best(scores: Tensor, count: int) -> Tensor:
    """(Q, C) bool: each row's best ``count``; of equal scores the partner's, in column 0, is the last to be taken."""
    order = scores.shape[1] - 1 - scores.flip(1).sort(dim=1, descending=True, stable=True).indices
    return torch.zeros_like(scores, dtype=torch.bool).scatter(1, order[:, :count], True)


def plain_scores(encoded: Encoded, candidates: np.ndarray) -> list[Tensor]:
    """Cosines (Q, C) of the contrastive vectors, text to image and image to text."""
    return [(encoded.texts[text] * encoded.images[image]).sum(dim=-1) for text, image in pairs(candidates)]


@torch.inference_mode()
def vector_scores(model: KaleidoBertForRetrieval, encoded: Encoded, candidates: np.ndarray) -> list[Tensor]:
    """What vectors alone rank by, (Q, C): enhanced by the memory, hubs charged for, as the configuration says."""
    return [model.similarity(cosine, hubness) for cosine, hubness in vector_parts(model, encoded, candidates)]


@torch.inference_mode()
def vector_parts(
    model: KaleidoBertForRetrieval, encoded: Encoded, candidates: np.ndarray
) -> list[tuple[Tensor, Tensor]]:
    """Cosines of the enhanced vectors and what hubs are charged, (Q, C) both; text to image and image to text."""
    parts: dict[str, list[Tensor]] = {name: [] for name in ("images", "texts", "image_hubness", "text_hubness")}
    for start in range(0, len(encoded.images), 512):
        rows = slice(start, start + 512)
        images = model.enhance_images(encoded.images[rows].to(model.device))
        texts = model.enhance_texts(encoded.texts[rows].to(model.device))
        hubness = (model.image_hubness(images), model.text_hubness(texts))
        for each, value in zip(parts.values(), (images, texts, *hubness), strict=True):
            each.append(value.cpu())
    images, texts, image_hubness, text_hubness = (torch.cat(each) for each in parts.values())
    return [
        ((texts[text] * images[image]).sum(dim=-1), text_hubness[text] + image_hubness[image])
        for text, image in pairs(candidates)
    ]


def pairs(candidates: np.ndarray) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Indices (Q, C) of each pair's text and image, text to image and image to text."""
    table = torch.from_numpy(candidates).clamp(min=0)
    query = table[:, :1].expand_as(table)
    return (query, table), (table, query)


def pair_scores(
    model: KaleidoBertForRetrieval,
    texts: tuple[Tensor, Tensor, Tensor],
    patches: Tensor,
    text: Tensor,
    image: Tensor,
    title: str,
    scorer: JointScorer | None = None,
) -> Tensor:
    """Joint scores of P pairs, (P,): which texts (P,), token ids, mask and priors of N, with which photos' patches.

    ``scorer``: what scores them instead of the model's `joint_scores`; where it gives W scores a pair, so does this.
    Texts of one length meet, for less padding, and then those of one photo, which is looked at once.
    """
    lengths = texts[1].sum(dim=1).cpu()
    order = torch.from_numpy(np.lexsort((image, lengths[text])))
    scorer = scorer or model.joint_scores
    scores = []
    with autocast(model), progress_bar() as progress:
        for batch in _batches(progress, len(text), JOINT_BATCH, title):
            rows = order[batch]
            chosen, (photos, which) = text[rows], image[rows].unique(return_inverse=True)
            ids, mask, priors = (part[chosen.to(part.device)] for part in texts)
            longest = int(lengths[chosen].max())
            inputs = (ids[:, :longest], mask[:, :longest], patches[photos], which, priors)
            scores.append(scorer(*(part.to(model.device) for part in inputs)).float().cpu())
    return torch.cat(scores)[order.argsort()]


def ranked_by(name: str, model: KaleidoBertForRetrieval, way: Scores) -> Tensor:
    """Scores (Q, C) by cosine, vectors, joint or combined; -inf where no candidate is.

    Where the joint model read a head alone, joint and combined order the head, and the rest follows by vectors.
    """
    with torch.no_grad():
        combined = model.combined_scores(way.vectors.to(model.device), way.joint.to(model.device), way.way).cpu()
    scores = {"cosine": way.plain, "vectors": way.vectors, "joint": way.joint, "combined": combined}[name]
    if name in ("joint", "combined") and not (way.head | way.missing).all():
        scores = head_first(scores, way.vectors, way.head)
    return scores.masked_fill(way.missing, float("-inf"))


def head_first(scores: Tensor, rest: Tensor, head: Tensor) -> Tensor:
    """(Q, C) float64, in the order of ``scores`` from 1 up within the head, in that of ``rest`` from 0 down outside."""
    lowest = scores.double().masked_fill(~head, float("inf")).amin(dim=1, keepdim=True)
    highest = rest.double().masked_fill(head, float("-inf")).amax(dim=1, keepdim=True)
    return torch.where(head, scores - lowest + 1, rest - highest)


def autocast(model: KaleidoBertScoring) -> torch.autocast:
    return torch.autocast(model.device.type, torch.bfloat16)


def _batches(progress: Progress, total: int, size: int, title: str) -> Iterator[list[int]]:
    for start in progress.track(range(0, total, size), description=title):
        yield list(range(start, min(start + size, total)))
