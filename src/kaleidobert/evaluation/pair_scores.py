"""Scores of queries and their candidates: similarities of embeddings, and joint scores of all or of the best."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from rich.progress import Progress
from torch import Tensor
from torch.nn import functional as F

from kaleidobert.progress import progress_bar
from kaleidobert.scoring.formula import joint_score, log_likelihood_ratio
from kaleidobert.scoring.protocol import PairScorer, TextBatch
from kaleidobert.scoring.ranking import DIRECTIONS
from kaleidobert.scoring.scorer import KaleidoBertScorer
from kaleidobert.training.collators import PairCollator
from kaleidobert.training.dataset import PreparedDataset

JointScores = Callable[..., Tensor]  # arguments of `KaleidoBertScorer.joint_scores`
Tables = np.ndarray | tuple[np.ndarray, np.ndarray]  # candidates (Q, C) of both directions, or of each
JOINT_BATCH = 512  # pairs per forward pass


@dataclass(frozen=True)
class EncodedProducts:
    """The uni-modal encodings of N products.

    images and texts: plain embeddings (N, V); patch_states (N, P, H) float16, as a store keeps them; input_ids and
    attention_mask (N, T); log_prior (N, 3): the texts' `text_log_prior`, and that given background
    photos (`Background.with_prior`; until then the first column again); own and text_own (N,): the memory rows that
    photos and texts may not recall, as they are of the same product; -1 for none.
    """

    images: Tensor
    texts: Tensor
    patch_states: Tensor
    input_ids: Tensor
    attention_mask: Tensor
    log_prior: Tensor
    own: Tensor
    text_own: Tensor

    def __len__(self) -> int:
        return len(self.images)

    def head(self, count: int) -> EncodedProducts:
        """The first ``count`` products."""
        return EncodedProducts(*(getattr(self, field.name)[:count] for field in fields(self)))

    def asking(self, scorer: KaleidoBertScorer, texts: TextBatch) -> EncodedProducts:
        """The same photos with other texts, which are of no product: those of queries."""
        with autocast(scorer):
            log_prior = scorer.joint.text_log_prior(texts.input_ids, texts.attention_mask)
        own = torch.full((len(log_prior),), -1)
        return replace(
            self, input_ids=texts.input_ids, attention_mask=texts.attention_mask, log_prior=log_prior, text_own=own
        )

    @classmethod
    def joined(cls, parts: Collection[EncodedProducts]) -> EncodedProducts:
        """All products of several parts in one, their texts padded to one length."""
        longest = max(part.input_ids.shape[1] for part in parts)
        columns: dict[str, list[Tensor]] = {each.name: [] for each in fields(cls)}
        for part in parts:
            for name, column in columns.items():
                value = getattr(part, name)
                if name in ("input_ids", "attention_mask"):  # padding is masked, so any token will do
                    value = F.pad(value, (0, longest - value.shape[1]))
                column.append(value)
        return cls(**{name: torch.cat(column) for name, column in columns.items()})


class Embedded(NamedTuple):
    """The embeddings (N, V) and hubness (N,) of N products as a search uses them, enhanced by a memory if any."""

    images: Tensor
    texts: Tensor
    image_hubness: Tensor
    text_hubness: Tensor


@dataclass(frozen=True)
class DirectionScores:
    """Scores (Q, C) of the candidates of Q queries in one direction, the matching product in column 0.

    vectors: the similarity of embeddings; joint: `joint_scores`; ``missing`` (Q, C) bool: padding; ``head``: candidates
    that the joint model scored; terms: the joint score's terms, each by its name.
    """

    direction: str
    vectors: Tensor
    joint: Tensor
    missing: Tensor
    head: Tensor
    terms: Mapping[str, Tensor] = field(default_factory=dict)


@torch.inference_mode()
def encode(scorer: KaleidoBertScorer, dataset: PreparedDataset, joint: bool = True) -> EncodedProducts:
    """Encode the first view and the text of each product; ``joint=False`` without what joint scores need."""
    model, tokenizer = scorer.model, scorer.processor.tokenizer
    collator = PairCollator(dataset, tokenizer, seed=0, augmented=False)
    longest = max(map(len, tokenizer(dataset.texts, truncation=True)["input_ids"]))
    own = scorer.own_rows(dataset.ids)
    states: Tensor | None = None
    outputs = []
    with autocast(scorer), progress_bar() as progress:
        for rows in _batches(progress, len(dataset), 128, "encoding photos and texts"):
            batch = {name: value.to(scorer.device) for name, value in collator(rows).items()}
            input_ids, mask = batch["input_ids"], batch["attention_mask"]
            image, text = model.get_image_features(batch["pixel_values"]), model.get_text_features(input_ids, mask)
            padding = longest - input_ids.shape[1]
            padded = [F.pad(input_ids, (0, padding), value=tokenizer.pad_token_id), F.pad(mask, (0, padding))]
            log_prior = input_ids.new_zeros(len(rows), 2, dtype=torch.float32)
            if joint:
                log_prior = scorer.joint.text_log_prior(input_ids, mask, None if own is None else own[rows])
                if states is None:  # filled in place: of a large gallery, two copies would be too many
                    states = torch.empty(len(dataset), *image.patch_states.shape[1:], dtype=torch.float16)
                states[rows] = image.patch_states.half().cpu()
            outputs.append([image.image_embeds, text.text_embeds, *padded, log_prior[:, [0, 1, 0]]])
    images, texts, ids, masks, priors = (torch.cat(column).cpu() for column in zip(*outputs, strict=True))
    states = torch.empty(len(dataset), 0, 0) if states is None else states
    own = torch.full((len(dataset),), -1) if own is None else own.cpu()
    return EncodedProducts(images, texts, states, ids, masks, priors, own, own)


@torch.inference_mode()
def embed(scorer: KaleidoBertScorer, encoded: EncodedProducts) -> Embedded:
    """What a search compares: the memory enhances embeddings, and gives their hubness; no product recalls itself."""
    parts: tuple[list[Tensor], ...] = ([], [], [], [])
    for start in range(0, len(encoded), 512):
        rows = slice(start, start + 512)
        own, text_own = encoded.own[rows].to(scorer.device), encoded.text_own[rows].to(scorer.device)
        images = scorer.enhance_images(encoded.images[rows].to(scorer.device), own)
        texts = scorer.enhance_texts(encoded.texts[rows].to(scorer.device), text_own)
        hubness = (scorer.image_hubness(images, own), scorer.text_hubness(texts, text_own))
        for each, value in zip(parts, (images, texts, *hubness), strict=True):
            each.append(value.float().cpu())
    return Embedded(*map(torch.cat, parts))


@torch.inference_mode()
def score(
    scorer: KaleidoBertScorer,
    encoded: EncodedProducts,
    candidates: Tables,
    rerank: int | None = None,
    joint_scores: JointScores | None = None,
    embedded: Embedded | None = None,
) -> tuple[DirectionScores, DirectionScores]:
    """Text-to-image and image-to-text scores of each query's candidates (Q, C).

    The joint model scores all of them, or the best ``rerank`` by embeddings. ``joint_scores`` replaces the scorer's
    method; if it returns W scores per pair, ``joint`` is (Q, C, W). ``embedded``: `embed`, if already computed.
    """
    embedded = embedded or embed(scorer, encoded)
    found = []
    for direction, table, (text, image) in zip(DIRECTIONS, both(candidates), pairs(candidates), strict=True):
        missing = torch.from_numpy(table < 0)
        cosine = (embedded.texts[text] * embedded.images[image]).sum(dim=-1)
        similarity = scorer.similarity(cosine, embedded.text_hubness[text] + embedded.image_hubness[image])
        head = best(similarity.masked_fill(missing, float("-inf")), rerank) & ~missing if rerank else ~missing
        title = f"joint scores, {direction}"
        scores = pair_scores(scorer, encoded, text[head], image[head], title, joint_scores)
        joint = torch.zeros(*head.shape, *scores.shape[1:])
        joint[head] = scores
        found.append(DirectionScores(direction, similarity, joint, missing, head))
    return found[0], found[1]


def score_terms(
    scorer: KaleidoBertScorer,
    encoded: EncodedProducts,
    candidates: Tables,
    rerank: int | None,
    also: Collection[str] = (),
    embedded: Embedded | None = None,
) -> tuple[DirectionScores, DirectionScores]:
    """As `score`, with the terms named in ``also`` (`JOINT_TERMS`) beside the joint score, from the same pass."""
    names = ("joint", *also)
    both_ways = score(scorer, encoded, candidates, rerank, partial(_joint_and_terms, scorer, also=also), embedded)
    found = []
    for each in both_ways:
        columns = dict(zip(names, each.joint.unbind(dim=-1), strict=True))
        joint = columns.pop("joint")
        found.append(DirectionScores(each.direction, each.vectors, joint, each.missing, each.head, columns))
    return found[0], found[1]


def _joint_and_terms(scorer: KaleidoBertScorer, *inputs: Tensor, also: Collection[str]) -> Tensor:
    """(P, 1 + T): the joint score and the terms named in ``also``."""
    terms = scorer.joint.terms(*inputs, also=also)
    alone = {"itm": terms.itm, "lm": log_likelihood_ratio(scorer.weights, terms)}
    columns = [joint_score(scorer.weights, terms), *(alone[name] for name in also)]
    return torch.stack([each.float() for each in columns if each is not None], dim=1)


def best(scores: Tensor, count: int) -> Tensor:
    """The best ``count`` of each row, (Q, C) bool; among equal scores, column 0, the matching product, comes last."""
    order = scores.shape[1] - 1 - scores.flip(1).sort(dim=1, descending=True, stable=True).indices
    return torch.zeros_like(scores, dtype=torch.bool).scatter(1, order[:, :count], True)


def both(candidates: Tables) -> tuple[np.ndarray, np.ndarray]:
    """The candidates (Q, C) of each direction."""
    return (candidates, candidates) if isinstance(candidates, np.ndarray) else candidates


def pairs(candidates: Tables) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """The text and image indices (Q, C) of each pair, text to image and image to text."""
    one, other = (torch.from_numpy(table).clamp(min=0) for table in both(candidates))
    return (one[:, :1].expand_as(one), one), (other, other[:, :1].expand_as(other))


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
    batched by photo, as each photo of a batch is encoded once.
    """
    lengths = encoded.attention_mask.sum(dim=1).cpu()
    order = torch.from_numpy(np.lexsort((lengths[text], image)))
    joint_scores = joint_scores or scorer.joint_scores
    texts = encoded.input_ids, encoded.attention_mask, encoded.log_prior, encoded.text_own
    scores = []
    with autocast(scorer), progress_bar() as progress:
        for batch in _batches(progress, len(text), JOINT_BATCH, title):
            rows = order[batch]
            chosen, (photos, which) = text[rows], image[rows].unique(return_inverse=True)
            ids, mask, log_prior, text_own = (part[chosen.to(part.device)] for part in texts)
            longest = int(lengths[chosen].max())
            states, own = encoded.patch_states[photos], encoded.own[photos]
            inputs = (ids[:, :longest], mask[:, :longest], states, which, log_prior, own, text_own)
            scores.append(joint_scores(*(part.to(scorer.device) for part in inputs)).float().cpu())
    return torch.cat(scores)[order.argsort()]


def ranked_by(name: str, scorer: PairScorer, scores: DirectionScores) -> Tensor:
    """Scores (Q, C) of a row: ``vectors``, ``joint``, ``combined`` or one of ``scores.terms``; -inf for padding.

    If the joint model scored only the best candidates, the others rank behind them by embeddings.
    """
    if name == "vectors":
        return scores.vectors.masked_fill(scores.missing, float("-inf"))
    if name == "combined":
        found = scorer.combine(scores.vectors, scores.joint, scores.direction)
    else:
        found = scores.joint if name == "joint" else scores.terms[name]
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
