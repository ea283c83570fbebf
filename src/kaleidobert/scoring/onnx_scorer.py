"""A `PairScorer` of exported graphs: the same scores as `KaleidoBertScorer`, by ONNX Runtime and without torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from kaleidobert.scoring import formula
from kaleidobert.scoring.array_memory import ArrayMemory
from kaleidobert.scoring.exported import Exported, OnnxGraph
from kaleidobert.scoring.formula import JointTerms
from kaleidobert.scoring.layouts import layout_slice
from kaleidobert.scoring.onnx_processor import OnnxProcessor
from kaleidobert.scoring.protocol import Array, ImageBatch, Scores, TextBatch, as_numpy
from kaleidobert.scoring.ranking import Ranking

TEXT, IMAGE, PATCHES, MATCHING, CAPTION = (
    *("text.onnx", "image.onnx", "patches.onnx"),
    *("matching.onnx", "caption.onnx"),  # of the joint score's terms; only those that have a weight are there
)


class OnnxScorer:
    """Scores pairs of photo and text by the search application's formula. Thread-safe.

    Loaded from a folder that `kaleidobert export` wrote: the graphs, ``ranking.json`` and, if the run has one,
    ``memory.safetensors``.
    """

    def __init__(self, folder: Path) -> None:
        """Raises ``InputError`` for a folder that holds no complete export."""
        self.config = Exported.load(folder)
        self.name = str(folder)
        self.processor = OnnxProcessor(folder, self.config)
        ranking, memory = Ranking.load(folder), ArrayMemory.load(folder)
        self.memory = memory if ranking.with_memory else None
        self.weights = (ranking.with_memory if self.memory else None) or ranking.without_memory
        self._text, self._image, self._patches = (OnnxGraph(folder / name) for name in (TEXT, IMAGE, PATCHES))
        self._matching = OnnxGraph(folder / MATCHING) if self.weights.itm_weight else None
        self._caption = OnnxGraph(folder / CAPTION) if self.weights.lm_weight else None

    @property
    def fingerprint(self) -> str:
        """That of the run, as both give the same embeddings."""
        return self.config.fingerprint

    @property
    def scale(self) -> float:
        """1 / temperature of the cosines."""
        return self.config.scale

    # Embeddings

    def encode_texts(self, texts: Sequence[str]) -> TextBatch:
        """Encode texts for search, enhanced by the memory if there is one."""
        ids, mask = self.processor.tokens(texts)
        embeds, _ = self._text(input_ids=ids, attention_mask=mask)
        hubness = np.zeros(len(embeds), dtype=np.float32)
        if self.memory is not None:
            enhancement = self.weights.memory_weight, self.weights.memory_neighbours
            embeds = self.memory.enhance_texts(embeds, self.scale, *enhancement)
            hubness = self.memory.text_hubness(embeds, self.scale)
        return TextBatch(embeds, hubness, ids, mask)

    def encode_images(self, images: Sequence[Image.Image]) -> ImageBatch:
        """Encode photos for search, enhanced by the memory if there is one."""
        return self.encode_pixels(self.processor.image_processor.pixel_values(images))

    def encode_pixels(self, pixel_values: Array, products: Sequence[str] | None = None) -> ImageBatch:
        """Encode locked portions (N, 3, S, S) in [0, 1] for search; ``products``: their ids, none of which recalls
        itself from the memory."""
        embeds, states = self._image(pixel_values=as_numpy(pixel_values))
        hubness = np.zeros(len(embeds), dtype=np.float32)
        if self.memory is not None:
            own = self.own_rows(products)
            enhancement = self.weights.memory_weight, self.weights.memory_neighbours
            embeds = self.memory.enhance_images(embeds, self.scale, *enhancement, own)
            hubness = self.memory.image_hubness(embeds, self.scale, own)
        return ImageBatch(embeds, hubness, states)

    def own_rows(self, products: Sequence[str] | None) -> np.ndarray | None:
        """The memory rows (N,) of these products, -1 where the memory has none; None without ids or memory."""
        return None if self.memory is None or products is None else self.memory.rows(products)

    def plain_text_embeds(self, texts: Sequence[str]) -> np.ndarray:
        """Text embeddings (N, V) without the memory."""
        ids, mask = self.processor.tokens(texts)
        return self._text(input_ids=ids, attention_mask=mask)[0]

    def project_patches(self, patch_states: Array) -> tuple[np.ndarray, np.ndarray]:
        """Patch states (N, P, H) -> plain embeddings (N, V) and the contribution of each patch (N, P, V)."""
        embeds, contributions = self._patches(patch_states=as_numpy(patch_states).astype(np.float32))
        return embeds, contributions

    # Scores of pairs

    def similarity(self, cosine: Scores, hubness: Scores) -> Scores:
        """See `formula.similarity`."""
        return formula.similarity(self.weights, cosine, hubness)

    def combine(self, similarity: Scores, joint: Scores, direction: str = "TIR") -> Scores:
        """See `formula.combine`."""
        return formula.combine(self.weights, self.scale, similarity, joint, direction)

    def encode_prefix(self, patch_states: Array) -> None:  # noqa: ARG002  # the graphs read patch states alone
        """None: the graphs compute nothing of a photo alone."""

    def joint_scores(
        self,
        input_ids: Array,
        attention_mask: Array,
        patch_states: Array,
        photos: Array | None = None,
        *,
        own: Array | None = None,
        prefix: None = None,  # noqa: ARG002
    ) -> np.ndarray:
        """Joint scores (N,) of texts (N, T) and patch states (M, P, H), as those of `JointScorer.joint_scores`."""
        rows = np.arange(len(patch_states)) if photos is None else as_numpy(photos)
        patch_states, own = as_numpy(patch_states)[rows], None if own is None else as_numpy(own)[rows]
        weights, mask = self.weights, as_numpy(attention_mask)
        ids = np.where(mask > 0, as_numpy(input_ids), self.config.padding)
        states = as_numpy(patch_states).astype(np.float32)
        # a text of many pairs is encoded once
        texts, which = np.unique(np.concatenate([ids, mask], axis=1), axis=0, return_inverse=True)
        text_ids, text_mask = np.split(texts, 2, axis=1)
        near = None
        if self.memory is not None and weights.uses_layouts:
            layouts = states[:, layout_slice(self.config.level_table)].reshape(len(states), -1)
            near = self.memory.nearest(layouts, weights.layout_neighbours, None if own is None else as_numpy(own))
        itm = likelihood = prior = pmi = None
        if self._matching is not None:
            tokens = self._text(input_ids=text_ids, attention_mask=text_mask)[1]
            (itm,) = self._matching(token_states=tokens[which], attention_mask=mask, patch_states=states)
        if self._caption is not None:
            words = self._words(ids, states)
            share = weights.neighbour_word_weight
            if near is not None and self.memory is not None and share:
                words = np.log((1 - share) * np.exp(words) + share * self.memory.word_probabilities(ids, near))
            likelihood = _sum(words, mask)
            prior = _sum(self._words(text_ids, np.zeros_like(states[: len(texts)]), alone=True), text_mask)[which]
        if near is not None and self.memory is not None and weights.neighbour_pmi_weight:
            density = self.memory.text_density(text_ids)[which]
            pmi = self.memory.neighbour_text_pmi(ids, near) - density
        return formula.joint_score(weights, JointTerms(itm, likelihood, prior, pmi))

    def _words(self, ids: np.ndarray, states: np.ndarray, alone: bool = False) -> np.ndarray:
        """log p (N, T - 1) of each token after the first; ``alone``: of the texts without their photos."""
        assert self._caption is not None
        return self._caption(input_ids=ids, patch_states=states, text_only=np.full(len(ids), alone))[0]


def _sum(words: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Log-likelihoods (N, T - 1) of texts' tokens -> (N,) of texts with this mask (N, T)."""
    return np.where(mask[:, 1:] > 0, words, 0.0).sum(axis=1, dtype=np.float64).astype(np.float32)
