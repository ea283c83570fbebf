"""Measuring retrieval under the two protocols of docs/protocols.md: by vectors, by the joint model, by both."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.progress import Progress
from torch import Tensor

from kaleidobert.errors import InputError
from kaleidobert.metrics.retrieval import draw_candidates, partner_ranks, recall_intervals, retrieval_figures
from kaleidobert.model import KaleidoBertForRetrieval, KaleidoBertProcessor, load_run
from kaleidobert.model.retrieval import KaleidoBertScoring
from kaleidobert.progress import progress_bar
from kaleidobert.training.catalogue import Catalogue, prepare
from kaleidobert.training.collator import PairCollator

PROTOCOLS = ("101", "full")
JOINT_BATCH = 512  # pairs a joint pass


@dataclass(frozen=True)
class Encoded:
    """N products through the uni-modal entries.

    images and texts: plain vectors (N, V); patches (N, P, H), tokens (N, T, H), mask (N, T).
    """

    images: Tensor
    texts: Tensor
    patches: Tensor
    tokens: Tensor
    attention_mask: Tensor


@dataclass(frozen=True)
class Scores:
    """One direction: scores (Q, C) of each query's candidates, the partner in column 0.

    plain: cosine of the contrastive vectors; vectors: the same enhanced by the memory, less hubness; joint: logits.
    ``missing`` (Q, C) bool: places that no candidate fills.
    """

    plain: Tensor
    vectors: Tensor
    joint: Tensor
    missing: Tensor


def evaluate_retrieval(
    data: str | Path,
    run: Path,
    split: str = "test",
    protocol: str = "101",
    queries: int | None = None,
    seed: int = 0,
    columns: Mapping[str, str] | None = None,
) -> dict:
    """Figures with DESIGN's keys: TIR, ITR and SumR under ``vectors``, ``joint`` and ``combined``.

    ``cosine`` is what the vectors give without the model's memory (see `model.memory`); ``intervals`` are those of 95 %
    by the bootstrap over queries.

    ``queries``: how many products of the split ask, drawn by ``seed``; all of them, or 100 under ``full``
    (where each query's joint scores take a pass over the whole split), when not given.
    The candidates are drawn by ``seed`` and saved in the run's ``evaluation/``, by product id, beside the figures.
    """
    if protocol not in PROTOCOLS:
        raise InputError(f"no protocol {protocol!r}; use {' or '.join(PROTOCOLS)}")
    model, processor = load_run(run)
    catalogue = prepare(data, split, processor.image_processor, columns)
    asked = choose_queries(len(catalogue), queries or (100 if protocol == "full" else None), seed)
    candidates = candidate_table(catalogue, asked, protocol, seed)
    place, name = run / "evaluation", f"{split}-{protocol}-{len(asked)}-seed{seed}.json"
    _save_candidates(place / f"candidates-{name}", catalogue, candidates)
    text_to_image, image_to_text = score(model, encode(model, processor, catalogue), candidates)
    figures: dict = {"protocol": protocol, "split": split, "queries": len(asked), "seed": seed}
    figures["candidates"] = candidates.shape[1]
    figures |= {name: getattr(model.config, name) for name in ("memory_weight", "hubness_weight", "joint_weight")}
    for scorer in ("cosine", "vectors", "joint", "combined"):
        ranks = [partner_ranks(ranked_by(scorer, model, way).numpy()) for way in (text_to_image, image_to_text)]
        figures[scorer] = retrieval_figures(*ranks)
        intervals = dict(zip(("TIR", "ITR"), map(recall_intervals, ranks), strict=True))
        figures.setdefault("intervals", {})[scorer] = intervals
    (place / f"retrieval-{name}").write_text(json.dumps(figures, indent=2) + "\n")
    return figures


def choose_queries(products: int, queries: int | None, seed: int) -> np.ndarray:
    """Sorted product indices that ask."""
    if queries is None or queries >= products:
        return np.arange(products)
    return np.sort(np.random.default_rng(seed).choice(products, queries, replace=False))


def candidate_table(catalogue: Catalogue, queries: np.ndarray, protocol: str, seed: int) -> np.ndarray:
    """(Q, C) product indices, the query's own product in column 0. ``full``: every product with another text."""
    others = 100 if protocol == "101" else len(catalogue)
    table = draw_candidates(catalogue.texts, catalogue.categories, catalogue.subcategories, queries, others, seed)
    if (table[:, 1:] < 0).all():
        raise InputError(f"{len(catalogue)} products are too few to rank: no product with another text")
    return table


@torch.inference_mode()
def encode(model: KaleidoBertForRetrieval, processor: KaleidoBertProcessor, catalogue: Catalogue) -> Encoded:
    """Every product's first view and text through the uni-modal entries."""
    collator = PairCollator(catalogue, processor.tokenizer, seed=0, augmented=False)
    outputs = []
    longest = max(map(len, processor.tokenizer(catalogue.texts, truncation=True)["input_ids"]))
    with autocast(model), progress_bar() as progress:
        for rows in _batches(progress, len(catalogue), 128, "encoding photos and texts"):
            batch = {name: value.to(model.device) for name, value in collator(rows).items()}
            image = model.plain_image_entry(batch["pixel_values"])
            text = model.kaleidobert.text_entry(batch["input_ids"], batch["attention_mask"])
            padding = longest - text.tokens.shape[1]
            tokens = torch.nn.functional.pad(text.tokens, (0, 0, 0, padding))
            mask = torch.nn.functional.pad(batch["attention_mask"], (0, padding))
            outputs.append([image.vectors, text.vectors, image.patches, tokens, mask])
    return Encoded(*(torch.cat(column).cpu() for column in zip(*outputs, strict=True)))


@torch.inference_mode()
def score(model: KaleidoBertForRetrieval, encoded: Encoded, candidates: np.ndarray) -> tuple[Scores, Scores]:
    """Text-to-image and image-to-text scores of each query's candidates (Q, C)."""
    missing = torch.from_numpy(candidates < 0)
    plain, vectors = plain_scores(encoded, candidates), vector_scores(model, encoded, candidates)
    joint = [
        _joint(model, encoded, text.flatten(), image.flatten(), title).view(text.shape)
        for (text, image), title in zip(_ways(candidates), ("text to image", "image to text"), strict=True)
    ]
    one, other = (Scores(*parts, missing) for parts in zip(plain, vectors, joint, strict=True))
    return one, other


def plain_scores(encoded: Encoded, candidates: np.ndarray) -> list[Tensor]:
    """Cosines (Q, C) of the contrastive vectors, text to image and image to text."""
    return [(encoded.texts[text] * encoded.images[image]).sum(dim=-1) for text, image in _ways(candidates)]


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
        for text, image in _ways(candidates)
    ]


def _ways(candidates: np.ndarray) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Indices (Q, C) of each pair's text and image, text to image and image to text."""
    table = torch.from_numpy(candidates).clamp(min=0)
    query = table[:, :1].expand_as(table)
    return (query, table), (table, query)


def _joint(model: KaleidoBertForRetrieval, encoded: Encoded, text: Tensor, image: Tensor, title: str) -> Tensor:
    logits = []
    with autocast(model), progress_bar() as progress:
        for rows in _batches(progress, len(text), JOINT_BATCH, f"joint scores, {title}"):
            texts, images = text[rows], image[rows]
            mask = encoded.attention_mask[texts]
            longest = int(mask.sum(dim=1).max())
            inputs = (encoded.tokens[texts, :longest], mask[:, :longest], encoded.patches[images])
            logits.append(model.joint_scores(*(part.to(model.device) for part in inputs)).cpu())
    return torch.cat(logits).float()


def ranked_by(name: str, model: KaleidoBertForRetrieval, way: Scores) -> Tensor:
    """Scores (Q, C) by cosine, vectors, joint or combined; -inf where no candidate is."""
    with torch.no_grad():
        combined = model.combined_scores(way.vectors.to(model.device), way.joint.to(model.device)).cpu()
    scores = {"cosine": way.plain, "vectors": way.vectors, "joint": way.joint, "combined": combined}[name]
    return scores.masked_fill(way.missing, float("-inf"))


def autocast(model: KaleidoBertScoring) -> torch.autocast:
    return torch.autocast(model.device.type, torch.bfloat16)


def _batches(progress: Progress, total: int, size: int, title: str) -> Iterator[list[int]]:
    for start in progress.track(range(0, total, size), description=title):
        yield list(range(start, min(start + size, total)))


def _save_candidates(path: Path, catalogue: Catalogue, candidates: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [[catalogue.ids[index] for index in row] for row in candidates.tolist()]
    path.write_text(json.dumps(rows))
