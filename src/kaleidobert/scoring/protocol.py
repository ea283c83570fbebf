"""The interface that search and evaluation need from a model, so that another model could take its place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias, TypeVar

import numpy as np
from PIL import Image

from kaleidobert.scoring.ranking import RankingWeights

if TYPE_CHECKING:  # a scorer that needs no torch has numpy's arrays in place of tensors
    from torch import Tensor

Array: TypeAlias = "np.ndarray | Tensor"
Scores = TypeVar("Scores", np.ndarray, "Tensor")


def as_numpy(array: Array) -> np.ndarray:
    """The same values as a numpy array, floats in full precision."""
    if isinstance(array, np.ndarray):
        return array
    found = array.cpu()
    return (found.float() if found.is_floating_point() else found).numpy()


class TextBatch(NamedTuple):
    """N encoded texts: embeds (N, V), unit vectors; hubness (N,); input_ids and attention_mask (N, T)."""

    embeds: Any
    hubness: Any
    input_ids: Any
    attention_mask: Any


class ImageBatch(NamedTuple):
    """N encoded photos: embeds (N, V), unit vectors; hubness (N,); patch_states (N, P, H) for joint scores."""

    embeds: Any
    hubness: Any
    patch_states: Any


class PhotoPrefix(Protocol):
    """What the joint model computes of photos alone, before it reads a text."""

    @property
    def nbytes(self) -> int: ...

    def row(self, index: int) -> PhotoPrefix:
        """That of one photo, to be kept."""

    def joined(self, others: Sequence[Any]) -> PhotoPrefix:
        """That of these photos and of the others."""


class PairScorer(Protocol):
    """Embeds photos and texts to find candidates, and scores pairs to rank them.

    What it is given may be arrays or tensors; `as_numpy` makes arrays of what it returns.
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

    def encode_pixels(self, pixel_values: Array, products: Sequence[str] | None = None) -> ImageBatch:
        """Encode locked portions (N, 3, S, S) in [0, 1] of products with these ids, none of which recalls itself."""

    def own_rows(self, products: Sequence[str] | None) -> Array | None:
        """The rows (N,) of a memory that these products may not recall; None if there is no memory."""

    def similarity(self, cosine: Scores, hubness: Scores) -> Scores:
        """The score of embeddings alone, on the scale of cosines."""

    def encode_prefix(self, patch_states: Array) -> PhotoPrefix | None:
        """The part of joint scores that depends on patch states (M, P, H) alone; None where there is none."""

    def joint_scores(
        self,
        input_ids: Array,
        attention_mask: Array,
        patch_states: Array,
        photos: Array | None = None,
        *,
        own: Array | None = None,
        prefix: Any = None,
    ) -> Array:
        """Joint scores (N,) of input_ids and attention_mask (N, T) and patch_states (M, P, H).

        ``photos`` (N,): each text's row of the patch states; by default one row for each text. ``own`` (M,):
        `own_rows`. ``prefix``: `encode_prefix` of the patch states, if already computed.
        """

    def combine(self, similarity: Scores, joint: Scores, direction: str = "TIR") -> Scores:
        """The score that a search ranks by: the scaled similarity plus the weighted joint score."""

    def plain_text_embeds(self, texts: Sequence[str]) -> Array:
        """Text embeddings (N, V) without the memory, for explanations."""

    def project_patches(self, patch_states: Array) -> tuple[Array, Array]:
        """Patch states (N, P, H) -> plain embeddings (N, V) and the contribution of each patch (N, P, V)."""
