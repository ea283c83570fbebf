"""What search and evaluation need of a model, so that another one could take its place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
from PIL import Image
from torch import Tensor

from kaleidobert.scoring.ranking import RankingWeights

Scores = TypeVar("Scores", np.ndarray, Tensor)


class TextBatch(NamedTuple):
    """N texts: embeds (N, V), unit vectors; hubness (N,); token ids and their mask (N, T)."""

    embeds: Tensor
    hubness: Tensor
    input_ids: Tensor
    attention_mask: Tensor


class ImageBatch(NamedTuple):
    """N photos: embeds (N, V), unit vectors; hubness (N,); patch_states (N, P, H), which joint scores are made of."""

    embeds: Tensor
    hubness: Tensor
    patch_states: Tensor


class PairScorer(Protocol):
    """Embeddings to recall candidates by, and scores of pairs of text and photo to rank them by.

    ``name`` says where the model lies; ``processor`` prepares its photos and texts.
    """

    name: str
    processor: Any
    weights: RankingWeights

    @property
    def fingerprint(self) -> str:
        """Changes with everything that changes an embedding."""

    @property
    def scale(self) -> float:
        """1 / temperature of the cosines."""

    @property
    def config(self) -> Any:
        """The model's configuration: its levels and how photos are prepared."""

    def encode_texts(self, texts: Sequence[str]) -> TextBatch: ...

    def encode_images(self, images: Sequence[Image.Image]) -> ImageBatch: ...

    def encode_pixels(self, pixel_values: Tensor) -> ImageBatch:
        """The same of locked portions (N, 3, S, S) in [0, 1]."""

    def similarity(self, cosine: Scores, hubness: Scores) -> Scores:
        """What embeddings alone rank by, in units of the cosine."""

    def joint_scores(self, input_ids: Tensor, attention_mask: Tensor, patch_states: Tensor) -> Tensor:
        """Joint scores (N,) of N pairs: token ids and mask (N, T), patch states (N, P, H)."""

    def combine(self, similarity: Scores, joint: Scores, direction: str = "TIR") -> Scores:
        """What a search ranks by: the scaled similarity and the weighted joint score."""

    def plain_text_embeds(self, texts: Sequence[str]) -> Tensor:
        """Embeddings (N, V) of texts without the memory, for explanations."""

    def project_patches(self, patch_states: np.ndarray) -> tuple[Tensor, Tensor]:
        """Stored patch states (N, P, H) -> plain embeddings (N, V), and each patch's part in them (N, P, V)."""
