"""Retrieval metrics under the two protocols of docs/protocols.md, of embeddings, joint model and both combined.

Each is measured without the retrieval memory and, where a run has one, with it, as a row of its own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import torch
from rich.progress import Progress
from torch import Tensor
from torch.nn import functional as F

from kaleidobert.errors import InputError
from kaleidobert.evaluation.metrics.retrieval import figures_spread, partner_ranks, recall_intervals, retrieval_figures
from kaleidobert.evaluation.protocols import candidate_table, choose_queries, load_candidates, save_candidates
from kaleidobert.progress import progress_bar
from kaleidobert.scoring.ranking import DIRECTIONS
from kaleidobert.scoring.scorer import KaleidoBertScorer
from kaleidobert.training.collators import PairCollator
from kaleidobert.training.dataset import PreparedDataset, prepare

PROTOCOLS = ("101", "full")
SCORERS = ("vectors", "joint", "combined")  # of each fit
JointScores = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]  # arguments of `joint_scores`
JOINT_BATCH = 512  # pairs per forward pass


@dataclass(frozen=True)
class EncodedProducts:
    """The uni-modal encodings of N products.

    images and texts: plain embeddings (N, V); patch_states (N, P, H); input_ids and attention_mask (N, T);
    log_prior (N, 2): the texts' `text_log_prior`.
    """

    images: Tensor
    texts: Tensor
    patch_states: Tensor
    input_ids: Tensor
    attention_mask: Tensor
    log_prior: Tensor

    def head(self, count: int) -> EncodedProducts:
        """The first ``count`` products."""
        return EncodedProducts(*(getattr(self, field.name)[:count] for field in fields(self)))


@dataclass(frozen=True)
class DirectionScores:
    """Scores (Q, C) of the candidates of Q queries in one direction, the matching product in column 0.

    vectors: the similarity of embeddings; joint: `joint_scores`. ``missing`` (Q, C) bool: padding; ``head``: candidates
    that the joint model scored.
    """

    direction: str
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
    """TIR, ITR and SumR of ``vectors``, ``joint`` and ``combined``, and of the same with a memory (``vectors_memory``).

    The search application ranks by ``combined_memory``, or by ``combined`` for a run without a memory. ``intervals``:
    95 % bootstrap intervals over queries. The figures and the drawn candidates (`save_candidates`) are written to the
    run's ``evaluation/``.

    ``queries``: number of query products, drawn with ``seed``; default all of the split, or 100 under ``full`` without
    ``rerank``, where each query takes a joint pass over the whole split.
    ``draws``: number of draws of queries and candidates, with ``seed``, ``seed + 1`` ...; figures are their means, and
    ``spread`` their standard deviations. ``candidates``: a file of `save_candidates` that replaces the draw.
    ``rerank``: the joint model scores this many of the best candidates by embeddings, as in a search, and the others
    rank behind them; default all candidates.
    """
    if protocol not in PROTOCOLS:
        raise InputError(f"no protocol {protocol!r}; use {' or '.join(PROTOCOLS)}")
    scorer = KaleidoBertScorer.from_pretrained(run)
    dataset = prepare(data, split, scorer.processor.image_processor, columns)
    if candidates:
        tables = [load_candidates(candidates, dataset)]
        name = f"{split}-list-{candidates.stem}"
        figures: dict = {"protocol": "list", "split": split, "queries": len(tables[0]), "list": candidates.name}
    else:
        count = queries or (100 if protocol == "full" and not rerank else None)
        tables = [draw_table(dataset, protocol, count, seed + draw) for draw in range(draws)]
        name = f"{split}-{protocol}-{len(tables[0])}-seed{seed}"
        figures = {"protocol": protocol, "split": split, "queries": len(tables[0]), "seed": seed, "draws": draws}
        for draw, table in enumerate(tables):
            saved = f"candidates-{split}-{protocol}-{len(table)}-seed{seed + draw}.json"
            save_candidates(run / "evaluation" / saved, dataset, table)
    name += f"-draws{draws}" * (draws > 1) + (f"-rerank{rerank}" if rerank else "")
    figures |= {"data": Path(data).name, "candidates": max(table.shape[1] for table in tables), "rerank": rerank}
    figures |= measured(scorer, encode(scorer, dataset), tables, rerank)
    (run / "evaluation").mkdir(exist_ok=True)
    (run / "evaluation" / f"retrieval-{name}.json").write_text(json.dumps(figures, indent=2) + "\n")
    return figures


def measured(
    scorer: KaleidoBertScorer, encoded: EncodedProducts, tables: Sequence[np.ndarray], rerank: int | None
) -> dict:
    """Figures of all rows, and the fitted weights, without and with the memory."""
    figures: dict = {"weights": {}, "intervals": {}}
    fits = {"": scorer.without_memory()} | ({"_memory": scorer} if scorer.memory else {})
    for ending, fit in fits.items():
        weights = asdict(fit.weights)
        del weights["calibration"]
        figures["weights"]["with_memory" if ending else "without_memory"] = weights
        found = row_figures(fit, [score(fit, encoded, table, rerank) for table in tables])
        for part in ("intervals", "spread"):
            if part in found:
                figures.setdefault(part, {}).update({row + ending: each for row, each in found.pop(part).items()})
        figures |= {row + ending: each for row, each in found.items()}
    return figures


def row_figures(scorer: KaleidoBertScorer, draws: Sequence[tuple[DirectionScores, DirectionScores]]) -> dict:
    """The figures of each row over all draws, with intervals and, for several draws, their spread."""
    figures: dict = {"intervals": {}}
    for name in SCORERS:
        ranks = [[partner_ranks(ranked_by(name, scorer, each).numpy()) for each in both] for both in draws]
        figures[name] = retrieval_figures(*map(np.concatenate, zip(*ranks, strict=True)))
        queries = len(ranks[0][0])  # of one draw: several draws may share queries, so they do not narrow the intervals
        figures["intervals"][name] = {
            direction: recall_intervals(figures[name][direction], queries) for direction in DIRECTIONS
        }
        if len(draws) > 1:
            figures.setdefault("spread", {})[name] = figures_spread([retrieval_figures(*each) for each in ranks])
    return figures


def draw_table(dataset: PreparedDataset, protocol: str, queries: int | None, seed: int) -> np.ndarray:
    """Queries and their candidates (Q, C), both drawn with ``seed``."""
    return candidate_table(dataset, choose_queries(len(dataset), queries, seed), protocol, seed)


@torch.inference_mode()
def encode(scorer: KaleidoBertScorer, dataset: PreparedDataset) -> EncodedProducts:
    """Encode the first view and the text of each product."""
    model, tokenizer = scorer.model, scorer.processor.tokenizer
    collator = PairCollator(dataset, tokenizer, seed=0, augmented=False)
    outputs = []
    longest = max(map(len, tokenizer(dataset.texts, truncation=True)["input_ids"]))
    with autocast(scorer), progress_bar() as progress:
        for rows in _batches(progress, len(dataset), 128, "encoding photos and texts"):
            batch = {name: value.to(scorer.device) for name, value in collator(rows).items()}
            input_ids, mask = batch["input_ids"], batch["attention_mask"]
            image, text = model.get_image_features(batch["pixel_values"]), model.get_text_features(input_ids, mask)
            padding = longest - input_ids.shape[1]
            padded = [F.pad(input_ids, (0, padding), value=tokenizer.pad_token_id), F.pad(mask, (0, padding))]
            log_prior = scorer.joint.text_log_prior(input_ids, mask)
            outputs.append([image.image_embeds, text.text_embeds, image.patch_states, *padded, log_prior])
    return EncodedProducts(*(torch.cat(column).cpu() for column in zip(*outputs, strict=True)))


@torch.inference_mode()
def score(
    scorer: KaleidoBertScorer,
    encoded: EncodedProducts,
    candidates: np.ndarray,
    rerank: int | None = None,
    joint_scores: JointScores | None = None,
) -> tuple[DirectionScores, DirectionScores]:
    """Text-to-image and image-to-text scores of each query's candidates (Q, C).

    The joint model scores all of them, or the best ``rerank`` by embeddings. ``joint_scores`` replaces the scorer's
    method; if it returns W scores per pair, ``joint`` is (Q, C, W).
    """
    missing = torch.from_numpy(candidates < 0)
    found = []
    for direction, similarity, (text, image) in zip(
        DIRECTIONS, similarities(scorer, encoded, candidates), pairs(candidates), strict=True
    ):
        head = best(similarity.masked_fill(missing, float("-inf")), rerank) & ~missing if rerank else ~missing
        title = f"joint scores, {direction}"
        scores = pair_scores(scorer, encoded, text[head], image[head], title, joint_scores)
        joint = torch.zeros(*head.shape, *scores.shape[1:])
        joint[head] = scores
        found.append(DirectionScores(direction, similarity, joint, missing, head))
    return found[0], found[1]


def best(scores: Tensor, count: int) -> Tensor:
    """The best ``count`` of each row, (Q, C) bool; among equal scores, column 0, the matching product, comes last."""
    order = scores.shape[1] - 1 - scores.flip(1).sort(dim=1, descending=True, stable=True).indices
    return torch.zeros_like(scores, dtype=torch.bool).scatter(1, order[:, :count], True)


@torch.inference_mode()
def similarities(scorer: KaleidoBertScorer, encoded: EncodedProducts, candidates: np.ndarray) -> list[Tensor]:
    """The similarity (Q, C) of embeddings, text to image and image to text."""
    return [scorer.similarity(cosine, hubness) for cosine, hubness in similarity_parts(scorer, encoded, candidates)]


@torch.inference_mode()
def similarity_parts(
    scorer: KaleidoBertScorer, encoded: EncodedProducts, candidates: np.ndarray
) -> list[tuple[Tensor, Tensor]]:
    """Cosines and hubness (Q, C) of embeddings, text to image and image to text; enhanced by the memory if any."""
    parts: dict[str, list[Tensor]] = {name: [] for name in ("images", "texts", "image_hubness", "text_hubness")}
    for start in range(0, len(encoded.images), 512):
        rows = slice(start, start + 512)
        images = scorer.enhance_images(encoded.images[rows].to(scorer.device))
        texts = scorer.enhance_texts(encoded.texts[rows].to(scorer.device))
        hubness = (scorer.image_hubness(images), scorer.text_hubness(texts))
        for each, value in zip(parts.values(), (images, texts, *hubness), strict=True):
            each.append(value.cpu())
    images, texts, image_hubness, text_hubness = (torch.cat(each) for each in parts.values())
    return [
        ((texts[text] * images[image]).sum(dim=-1), text_hubness[text] + image_hubness[image])
        for text, image in pairs(candidates)
    ]


def pairs(candidates: np.ndarray) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """The text and image indices (Q, C) of each pair, text to image and image to text."""
    table = torch.from_numpy(candidates).clamp(min=0)
    query = table[:, :1].expand_as(table)
    return (query, table), (table, query)


def pair_scores(
    scorer: KaleidoBertScorer,
    encoded: EncodedProducts,
    text: Tensor,
    image: Tensor,
    title: str,
    joint_scores: JointScores | None = None,
) -> Tensor:
    """Joint scores (P,) of P pairs, given by the indices (P,) of their texts and photos in ``encoded``.

    ``joint_scores`` replaces the scorer's method; if it returns W scores per pair, the result is (P, W). Pairs are
    batched by text length, for less padding, and then by photo, as each photo of a batch is encoded once.
    """
    lengths = encoded.attention_mask.sum(dim=1).cpu()
    order = torch.from_numpy(np.lexsort((image, lengths[text])))
    joint_scores = joint_scores or scorer.joint_scores
    texts = encoded.input_ids, encoded.attention_mask, encoded.log_prior
    scores = []
    with autocast(scorer), progress_bar() as progress:
        for batch in _batches(progress, len(text), JOINT_BATCH, title):
            rows = order[batch]
            chosen, (photos, which) = text[rows], image[rows].unique(return_inverse=True)
            ids, mask, log_prior = (part[chosen.to(part.device)] for part in texts)
            longest = int(lengths[chosen].max())
            inputs = (ids[:, :longest], mask[:, :longest], encoded.patch_states[photos], which, log_prior)
            scores.append(joint_scores(*(part.to(scorer.device) for part in inputs)).float().cpu())
    return torch.cat(scores)[order.argsort()]


def ranked_by(name: str, scorer: KaleidoBertScorer, scores: DirectionScores) -> Tensor:
    """Scores (Q, C) of the row ``vectors``, ``joint`` or ``combined``; -inf for padding.

    If the joint model scored only the best candidates, the others rank behind them by embeddings.
    """
    if name == "vectors":
        found = scores.vectors
    else:
        found = scores.joint if name == "joint" else scorer.combine(scores.vectors, scores.joint, scores.direction)
        if not (scores.head | scores.missing).all():
            found = head_first(found, scores.vectors, scores.head)
    return found.masked_fill(scores.missing, float("-inf"))


def head_first(scores: Tensor, rest: Tensor, head: Tensor) -> Tensor:
    """Scores (Q, C) that rank the head by ``scores``, at 1 and above, before all others by ``rest``, at 0 and below."""
    lowest = scores.double().masked_fill(~head, float("inf")).amin(dim=1, keepdim=True)
    highest = rest.double().masked_fill(head, float("-inf")).amax(dim=1, keepdim=True)
    return torch.where(head, scores - lowest + 1, rest - highest)


def autocast(scorer: KaleidoBertScorer) -> torch.autocast:
    return torch.autocast(scorer.device.type, torch.bfloat16)


def _batches(progress: Progress, total: int, size: int, title: str) -> Iterator[list[int]]:
    for start in progress.track(range(0, total, size), description=title):
        yield list(range(start, min(start + size, total)))
