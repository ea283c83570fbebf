"""Which other photos and texts of a batch a product is compared with: negatives of ITM, and lists to be ranked."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from kaleidobert.model.distributed import WHOLE_BATCH, BatchShard
from kaleidobert.model.losses import NEAREST, also_fitting, draw_negatives, listwise_loss, most_similar


class Negatives(NamedTuple):
    """A non-matching text and photo (n,) for each of n products, as indices into the whole batch.

    valid (3n,) bool: which of the pairs count: all matching ones, then those whose negative exists.
    """

    text: Tensor
    photo: Tensor
    valid: Tensor


class Candidates(NamedTuple):
    """The lists that listwise objectives rank: for each of a process's n products, k photos and texts beside its own.

    products (n,), photos (n, k) and texts (n, k) are indices into the whole batch; photo_count and text_count (n,): how
    many of the k count, as pairs that fit as well are no candidates.
    """

    products: Tensor
    photos: Tensor
    photo_count: Tensor
    texts: Tensor
    text_count: Tensor

    def pairs(self) -> tuple[Tensor, Tensor]:
        """Texts and photos (N,) of all pairs: the matching ones, each text's other photos, each photo's other texts."""
        own, width = self.products, self.photos.shape[1]
        texts = [own, own.repeat_interleave(width), self.texts.flatten()]
        photos = [own, self.photos.flatten(), own.repeat_interleave(self.texts.shape[1])]
        return torch.cat(texts), torch.cat(photos)

    def loss(self, scores: Tensor, text_bias: Tensor | None, shard: BatchShard) -> tuple[Tensor, Tensor]:
        """The mean listwise loss of the pairs' scores (N,), and how often the own partner is first.

        text_bias (N,) is subtracted where texts are ranked.
        """
        bias = torch.zeros_like(scores) if text_bias is None else text_bias
        sizes = [len(self.products), self.photos.numel(), self.texts.numel()]
        own, photos, _ = scores.split(sizes)
        own_text, _, texts = (scores - bias).split(sizes)
        losses, first = [], []
        for partner, others, count in ((own, photos, self.photo_count), (own_text, texts, self.text_count)):
            ranked = torch.cat([partner[:, None], others.view(len(partner), -1)], dim=1)
            losses.append(listwise_loss(ranked, count + 1))
            beyond = torch.arange(ranked.shape[1] - 1, device=ranked.device) >= count[:, None]
            first.append(ranked[:, 0] > ranked[:, 1:].masked_fill(beyond, float("-inf")).amax(dim=1))
        return torch.stack(losses).mean() * shard.weight(self.products), shard.mean(torch.cat(first))


class ListInputs(NamedTuple):
    """What listwise objectives choose candidates by.

    token_states (B, Q, H) and token_mask (B, Q): this process's texts as embeddings use them. Of the whole batch:
    similarity (B, B), scaled cosines, one row per image; also_fit (B, B), one row per text (`losses.also_fitting`), of
    these texts, and same_text, of the whole texts, which PMI ranks.
    """

    token_states: Tensor
    token_mask: Tensor
    similarity: Tensor
    also_fit: Tensor
    same_text: Tensor


def fitting_pairs(text_group: Tensor, facts: Tensor | None, asked: Tensor | None, shard: BatchShard) -> Tensor:
    """`also_fitting` (B, B) of the whole batch; the arguments are this process's rows."""
    facts, asked = (None if each is None else shard.gather(each) for each in (facts, asked))
    return also_fitting(shard.gather(text_group), facts, asked)


def own_rows(count: int, shard: BatchShard, device: torch.device) -> Tensor:
    """The indices of this process's products among the first ``count`` products of the whole batch."""
    return torch.arange(count, device=device)[shard.rows]


def itm_negatives(
    similarity: Tensor | None,
    also_fit: Tensor,
    draws: Tensor,
    count: int,
    grade: int = NEAREST,
    subcategory: Tensor | None = None,
    shard: BatchShard = WHOLE_BATCH,
) -> Negatives:
    """Draw the ITM negatives of the first ``count`` products of a batch of B.

    similarity (B, B): scaled contrastive scores, one row per image, used by the grade NEAREST. also_fit (B, B), one
    row per text: products that a text fits are no negatives of it. draws (2, n): uniform in [0, 1). subcategory (B,):
    equal within a sub-category. grade: see `draw_negatives`.
    """
    rows = own_rows(count, shard, also_fit.device)
    forbidden = also_fit | torch.eye(len(also_fit), dtype=torch.bool, device=also_fit.device)
    unlike = torch.zeros_like(forbidden) if subcategory is None else subcategory[:, None] != subcategory[None, :]
    scores = torch.zeros_like(forbidden, dtype=torch.float) if similarity is None else similarity.detach()
    return Negatives(
        text=draw_negatives(scores[rows], forbidden.T[rows], draws[0], grade, unlike[rows]),
        photo=draw_negatives(scores.T[rows, :count], forbidden[rows, :count], draws[1], grade, unlike[rows, :count]),
        valid=torch.cat([rows >= 0, ~forbidden.T[rows].all(dim=1), ~forbidden[rows, :count].all(dim=1)]),
    )


def candidates(
    similarity: Tensor, also_fit: Tensor, count: int, others: int, shard: BatchShard = WHOLE_BATCH
) -> Candidates:
    """The ``others`` most similar photos and texts of a batch for each of its first ``count`` products.

    similarity (B, B), one row per image. also_fit (B, B), one row per text: pairs that fit as well, never candidates.
    """
    own = own_rows(count, shard, similarity.device)
    forbidden = also_fit | torch.eye(len(also_fit), dtype=torch.bool, device=also_fit.device)
    photos = most_similar(similarity.T[own], forbidden[own], others)
    return Candidates(own, *photos, *most_similar(similarity[own], forbidden.T[own], others))
