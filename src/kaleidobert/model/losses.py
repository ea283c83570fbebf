"""The objectives as functions from tensors to a scalar (patent: equations 1 to 8)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

RANDOM, SAME_SUBCATEGORY, NEAREST = range(3)  # grades of other products, from unlike to alike
NO_LABEL = -100  # ignored by cross-entropy

PAIR_LOSSES = ("contrastive", "AMLM", "ITM", "LM", "PMI")  # of pre-training, beside those of `pretext_tasks`
DOWNSTREAM_LOSSES = ("classification", "captioning")  # of fine-tuning, beside contrastive, ITM and LM


def loss_weight(weights: Mapping[str, float], name: str) -> float:
    """The weight of a loss, by default 1; that of a level, such as G2CM_3x3, is by default its task's, G2CM."""
    return weights.get(name.partition("_")[0], 1.0)


def contrastive_loss(images: Tensor, texts: Tensor, scale: Tensor, also_fit: Tensor) -> Tensor:
    """Symmetric InfoNCE, as in CLIP, of image and text embeddings (B, V), unit vectors; scale = 1 / temperature.

    Other products that a text fits (`also_fitting`) are neither negatives nor positives.
    """
    logits = scale * texts @ images.T  # (B, B), row: text
    logits = logits.masked_fill(also_fit, float("-inf"))
    partner = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, partner) + F.cross_entropy(logits.T, partner)) / 2


def also_fitting(text_group: Tensor, facts: Tensor | None = None, asked: Tensor | None = None) -> Tensor:
    """(B, B) bool: the other products, by column, that the text of each row fits as well; False on the diagonal.

    They are those of equal texts, by text_group (B,). A short query also fits all products with the facts (B, F) that
    it names: asked (B, F), codes like the facts', -1 for those that it does not name, as for all other texts.
    """
    fit = text_group[:, None] == text_group[None, :]
    if facts is not None and asked is not None:
        named = asked >= 0
        same = ((asked[:, None] == facts[None]) | ~named[:, None]).all(dim=-1)
        fit = torch.where(named.any(dim=1, keepdim=True), same | fit, fit)
    return fit & ~torch.eye(len(fit), dtype=torch.bool, device=fit.device)


def masked_token_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """AMLM, equation 1: cross-entropy at masked tokens; logits (M, vocabulary), labels (M,)."""
    return F.cross_entropy(logits, labels) if len(labels) else logits.sum()


def captioning_loss(logits: Tensor, tokens: Tensor) -> Tensor:
    """LM: cross-entropy of the next token, given the photo (CoCa, BLIP); logits (M, vocabulary), labels (M,)."""
    return F.cross_entropy(logits, tokens)


def unigram_loss(ids: Tensor, attention_mask: Tensor, labels: Tensor, vocabulary: int) -> Tensor:
    """The AMLM loss of a predictor that knows only the frequency of each token in ids (B, T)."""
    counts = torch.bincount(ids[attention_mask.bool()], minlength=vocabulary) + 1  # add-one smoothing
    return F.nll_loss((counts / counts.sum()).log().expand(len(labels), -1), labels)


def matching_loss(logits: Tensor, matches: Tensor) -> Tensor:
    """ITM, equation 2: binary cross-entropy of match logits (N,); matches (N,) bool."""
    return F.binary_cross_entropy_with_logits(logits, matches)


def listwise_loss(logits: Tensor, count: Tensor) -> Tensor:
    """ITM and PMI over lists: cross-entropy of the first of K candidates; logits (N, K), count (N,): how many count."""
    beyond = torch.arange(logits.shape[1], device=logits.device) >= count[:, None]
    logits = logits.masked_fill(beyond, float("-inf"))
    return F.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.long, device=logits.device))


def most_similar(similarity: Tensor, forbidden: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The ``count`` allowed columns of largest similarity (N, M) for each row: (N, k), and their number (N,), up to k.

    forbidden (N, M) bool: the positive and equal texts; columns beyond a row's number are forbidden ones.
    """
    scores = similarity.detach().float().masked_fill(forbidden, float("-inf"))
    found = scores.topk(min(count, scores.shape[1]), dim=1)
    return found.indices, found.values.isfinite().sum(dim=1)


def feature_divergence(predicted: Tensor, features: Tensor, temperature: float) -> Tensor:
    """G2CM and B2CM, equations 6 and 7: KL(softmax(features) || softmax(predicted)), mean over M patches.

    Both (M, D). ``features`` are standardised (mean 0, variance 1 over D) and no gradient flows into them.
    """
    if not len(features):
        return predicted.sum()
    target = F.log_softmax(features.detach() / temperature, dim=-1)
    log_predicted = F.log_softmax(predicted / temperature, dim=-1)
    return F.kl_div(log_predicted, target, log_target=True, reduction="batchmean")


def draw_negatives(
    similarity: Tensor, forbidden: Tensor, draws: Tensor, grade: int, unlike: Tensor | None = None
) -> Tensor:
    """Draw another product per row: column indices (N,), drawn by uniform numbers ``draws`` (N,) in [0, 1).

    similarity (N, M): scaled cosines. forbidden (N, M) bool: the row itself and its like. ``grade``: RANDOM
    draws from all allowed columns alike; SAME_SUBCATEGORY from those that are not ``unlike`` (N, M) bool, if there are
    any; NEAREST in proportion to exp(similarity). Rows without an allowed column (``forbidden.all(1)``) get a forbidden
    one.
    """
    scores = similarity.float() if grade == NEAREST else torch.zeros_like(similarity, dtype=torch.float)
    if grade == SAME_SUBCATEGORY and unlike is not None:
        scores = scores.masked_fill(unlike, -1e4)  # drawn only if no other column is allowed
    chances = scores.masked_fill(forbidden, -1e9).softmax(dim=1)
    steps = chances.cumsum(dim=1)
    total = steps[:, -1:]
    drawn = torch.minimum(draws[:, None] * total, total.nextafter(torch.zeros_like(total)))  # never rounded up to total
    return torch.searchsorted(steps, drawn, right=True)[:, 0]
