"""The interface that search and evaluation need from a model, so that another model could take its place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
from PIL import Image
from torch import Tensor

from kaleidobert.scoring.ranking import RankingWeights

Scores = TypeVar("Scores", np.ndarray, Tensor)


class TextBatch(NamedTuple):
    """N encoded texts: embeds (N, V), unit vectors; hubness (N,); input_ids and attention_mask (N, T)."""

    embeds: Tensor
    hubness: Tensor
    input_ids: Tensor
    attention_mask: Tensor


class ImageBatch(NamedTuple):
    """N encoded photos: embeds (N, V), unit vectors; hubness (N,); patch_states (N, P, H) for joint scores."""

    embeds: Tensor
    hubness: Tensor
    patch_states: Tensor


class PhotoPrefix(Protocol):
    """What the joint model computes of photos alone, before it reads a text."""

    @property
    def nbytes(self) -> int: ...

    def rows(self, indices: Tensor) -> PhotoPrefix:
        """That of these photos (N,)."""

    def joined(self, others: Sequence[Any]) -> PhotoPrefix:
        """That of these photos and of the others."""


class PairScorer(Protocol):
    """Embeds photos and texts to find candidates, and scores pairs to rank them.

    ``name``: where the model was loaded from. ``processor`` prepares photos and texts.
    """

    name: str
    processor: Any
    weights: RankingWeights

    @property
    def fingerprint(self) -> str:
        """A hash of all that embeddings depend on."""

    @property
    def scale(self) -> float:
        """1 / temperature of the cosines."""

    @property
    def config(self) -> Any:
        """The configuration of the model: its levels and how photos are prepared."""

    def encode_texts(self, texts: Sequence[str]) -> TextBatch: ...

    def encode_images(self, images: Sequence[Image.Image]) -> ImageBatch: ...

    def encode_pixels(self, pixel_values: Tensor, products: Sequence[str] | None = None) -> ImageBatch:
        """Encode locked portions (N, 3, S, S) in [0, 1] of products with these ids, none of which recalls itself."""

    def own_rows(self, products: Sequence[str] | None) -> Tensor | None:
        """The rows (N,) of a memory that these products may not recall; None if there is no memory."""

    def similarity(self, cosine: Scores, hubness: Scores) -> Scores:
        """The score of embeddings alone, on the scale of cosines."""

    def encode_prefix(self, patch_states: Tensor) -> PhotoPrefix | None:
        """The part of joint scores that depends on patch states (M, P, H) alone; None where there is none."""

    def joint_scores(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        patch_states: Tensor,
        photos: Tensor | None = None,
        *,
        own: Tensor | None = None,
        prefix: Any = None,
    ) -> Tensor:
        """Joint scores (N,) of input_ids and attention_mask (N, T) and patch_states (M, P, H).

        ``photos`` (N,): each text's row of the patch states; by default one row for each text. ``own`` (M,):
        `own_rows`. ``prefix``: `encode_prefix` of the patch states, if already computed.
        """

    def combine(self, similarity: Scores, joint: Scores, direction: str = "TIR") -> Scores:
        """The score that a search ranks by: the scaled similarity plus the weighted joint score."""

    def plain_text_embeds(self, texts: Sequence[str]) -> Tensor:
        """Text embeddings (N, V) without the memory, for explanations."""

    def project_patches(self, patch_states: np.ndarray) -> tuple[Tensor, Tensor]:
        """Patch states (N, P, H) -> plain embeddings (N, V) and the contribution of each patch (N, P, V)."""
