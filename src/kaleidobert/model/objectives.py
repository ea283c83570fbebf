"""The objectives of pre-training and fine-tuning: their weights, and how the pretext tasks are set up."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from kaleidobert.alignment.masking import PUBLISHED_TOKEN_MASKING, TokenMasking
from kaleidobert.errors import InputError
from kaleidobert.model.losses import NEAREST, RANDOM, SAME_SUBCATEGORY, loss_weight
from kaleidobert.model.pretext_tasks import pretraining_losses

CORRUPTIONS = ("levels", "photos")  # every level by its own task at once, or each photo by the task of one level
LENDERS = {"random": RANDOM, "same-subcategory": SAME_SUBCATEGORY, "nearest": NEAREST}  # grades of `draw_negatives`


@dataclass(frozen=True)
class Objectives:
    """Settings of a training run, kept in its settings.yaml and not in the model's configuration.

    weights: of each loss by name, 1 where not given (published: the plain sum); an objective of weight 0 is not
        computed.
    corruption: "levels" (every level by its own task at once, as published) or "photos" (one task a photo, done to its
        pixels, so that no level shows what another hides).
    token_masking: what masked tokens become, as shares (published: 0.8 mask, 0.1 random, 0.1 unchanged).
    lender: the product of the batch whose patches the tasks camouflage and swap show in place of a photo's own:
        "random", "same-subcategory" (random where the batch has no other), or "nearest" (drawn in proportion to
        exp(cosine of the photos' embeddings / temperature)).
    kl_temperature: of the softmax over standardised features in the two KL objectives.
    candidates: 0: ITM is binary, as published, with one negative text and photo for each product, and sees masked texts
        and corrupted photos. k > 1: each text is ranked among its own photo and the k - 1 photos of the batch that are
        most similar by the embeddings, and each photo among as many texts, by PMI and, in models with ``itm_prefix``,
        by ITM. Lists are trained with the joint objectives, from ``training.joint_from`` on.
    listed_products: how many products of a batch, of all processes together, have lists.
    residual: ITM ranks lists by the scaled cosine, into which no gradient flows, plus its logit, and so learns what the
        embeddings miss.
    hard_negatives_from: pair accuracy of ITM at which its negatives turn harder: from random ones to those of the same
        sub-category, and from these to the nearest by the embeddings. 1: they stay random, in fine-tuning, too.
    """

    weights: Mapping[str, float] = field(default_factory=dict)
    corruption: str = "levels"
    token_masking: TokenMasking = PUBLISHED_TOKEN_MASKING
    lender: str = "random"
    kl_temperature: float = 1.0
    candidates: int = 0
    listed_products: int = 32
    residual: bool = False
    hard_negatives_from: float = 0.7

    def __post_init__(self) -> None:
        unknown = set(self.weights) - set(pretraining_losses())
        if unknown:
            raise InputError(f"objectives.weights: no loss {min(unknown)!r}; use {', '.join(pretraining_losses())}")
        if self.corruption not in CORRUPTIONS:
            raise InputError(f"objectives.corruption is {self.corruption!r}; use {' or '.join(CORRUPTIONS)}")
        if self.lender not in LENDERS:
            raise InputError(f"objectives.lender is {self.lender!r}; use {', '.join(LENDERS)}")
        for name, weight in self.weights.items():
            if not 0 <= weight < math.inf:
                raise InputError(f"objectives.weights.{name} is {weight}; use a number from 0 up")
        if not 0 < self.kl_temperature < math.inf:
            raise InputError(f"objectives.kl_temperature is {self.kl_temperature}; use a number above 0")
        if self.candidates < 0 or self.candidates == 1:
            raise InputError(f"objectives.candidates is {self.candidates}; use 0, or a number from 2 up")
        if self.listed_products < 2:
            raise InputError(f"objectives.listed_products is {self.listed_products}; use a number from 2 up")
        if not 0 <= self.hard_negatives_from <= 1:
            raise InputError(f"objectives.hard_negatives_from is {self.hard_negatives_from}; use a number from 0 to 1")

    def weight(self, loss: str) -> float:
        """The weight of a loss by name, by default 1; a level's own, such as G2CM_4x4, is by default its task's."""
        return loss_weight(self.weights, loss)

    @property
    def masks(self) -> bool:
        """Whether any objective hides tokens or patches."""
        return any(map(self.weight, set(pretraining_losses()) - {"contrastive", "ITM", "LM", "PMI"}))

    @property
    def trains_embeddings(self) -> bool:
        """Whether a run's embeddings mean anything, so that a memory can be made of them."""
        return self.weight("contrastive") > 0

    def check_batches(self, others: Sequence[str], joint_from: float, joint_samples: int, lm_from: float = 0.0) -> None:
        """Raise ``InputError`` if some batches would have no loss with a weight.

        ``others``: the joint losses, which start at progress ``joint_from`` and need two ``joint_samples``. LM starts
        at ``lm_from``.
        """
        if self.weight("contrastive") or (self.weight("LM") and not lm_from):
            return
        others = [*others, *(["PMI"] if self.candidates else [])]
        if not any(map(self.weight, others)):
            names = " or ".join([*others, "LM"])
            raise InputError(f"objectives.weights: nothing to train; give contrastive, {names} a weight above 0")
        if joint_from > 0 or joint_samples < 2:
            raise InputError(
                "objectives.weights.contrastive is 0, so batches without the joint objectives would train nothing: set "
                "training.joint_from=0 and training.joint_samples to 2 or more"
            )

    def total(self, losses: Mapping[str, Tensor]) -> Tensor:
        """The weighted sum of the losses, equation 8."""
        return torch.stack([self.weight(name) * loss for name, loss in losses.items()]).sum()
