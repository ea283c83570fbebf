"""Explains hits: which patches of the photo each word of the query matches, and how much each word contributes.

A photo's embedding is a projection of the mean of its patch states, so a patch's share in a cosine is exact: the dot
product of its projected state with the word's embedding. Three corrections make the shares discriminative (measured in
docs/search.md): subtract the mean of the same patch over other photos, subtract the mean over the query's words, and
mask the background. Only the embeddings are needed, so that hits are explained whether or not they were re-ranked. The
weight of a word is the loss in cosine without it.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from itertools import islice
from typing import Any

import numpy as np
from cachetools import LRUCache, cachedmethod
from PIL import Image

from kaleidobert.alignment.matching import Word, content_words
from kaleidobert.data.images import open_image
from kaleidobert.index.caching import CachedPerVersion
from kaleidobert.index.protocol import ProductIndex
from kaleidobert.index.records import Box, ViewKey
from kaleidobert.levels import level_slices, patch_boxes
from kaleidobert.scoring.protocol import PairScorer, as_numpy
from kaleidobert.search.query import Evidence, PatchWeight

MAX_WORDS, MAX_PATCHES = 12, 6  # explained words per query, patches per word
MIN_WEIGHT = 0.35  # of a patch relative to the word's best patch
MEAN_SAMPLE, MIN_SAMPLE = 256, 16  # photos for the mean patch states; with fewer no mean is subtracted
CACHED_TEXTS = 256

EncodedWords = tuple[list[Word], np.ndarray, np.ndarray]


class Explainer:
    """Explains the hits of one store with the model that made it. Safe to call from several threads."""

    def __init__(self, scorer: PairScorer, store: ProductIndex) -> None:
        self._scorer = scorer
        self._store = store
        self._levels = scorer.config.level_table
        self._encoded: LRUCache[Any, EncodedWords] = LRUCache(CACHED_TEXTS)
        self._caching = threading.Lock()
        self._mean_patches = CachedPerVersion(self._compute_mean_patches, lambda: store.version)
        # the level whose patches are shown
        self._finest = max(range(len(self._levels)), key=lambda i: self._levels[i].grid)

    def explain(self, text: str, keys: Sequence[ViewKey]) -> dict[ViewKey, list[Evidence]]:
        """For each of these views, the evidence of each content word in the order of the text.

        Stop words, numbers and content words after the first ``MAX_WORDS`` are left out, and so are deleted views.
        """
        words, alone, without = self._encode(text)
        states, boxes = self._store.states(keys), self._store.boxes(keys)
        present = [key for key in keys if key in states and key in boxes]
        if not words or not present:
            return {key: [] for key in present}
        photos = self._store.thumbnails(present)
        vectors, patches = self._project(np.stack([states[key] for key in present]))
        weights = _word_weights(vectors, without)  # (B, W)
        maps = self._maps(alone, patches)  # (B, W, G)
        found = {}
        for row, key in enumerate(present):
            foreground = self._foreground(photos.get(key), boxes[key])
            heat = maps[row] - maps[row].min(axis=1, keepdims=True)
            best = [self._best_patches(each, boxes[key]) for each in heat * foreground]
            found[key] = [
                Evidence(word.text, word.start, word.end, float(weight), matched)
                for word, weight, matched in zip(words, weights[row], best, strict=True)
            ]
        return found

    @cachedmethod(lambda self: self._encoded, lock=lambda self: self._caching)
    def _encode(self, text: str) -> EncodedWords:
        """The W content words, the embedding (W, V) of each, and (1 + W, V) of the text and of the text less each."""
        words = content_words(text)[:MAX_WORDS]
        rest = [f"{text[: word.start]} {text[word.end :]}" for word in words]
        vectors = as_numpy(self._scorer.plain_text_embeds([text, *rest, *(word.text for word in words)]))
        return words, vectors[len(words) + 1 :], vectors[: len(words) + 1]

    def _project(self, stored: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Stored states (B, P, H) -> plain embeddings (B, V), and projected patches (B, G, V) of the finest level."""
        embeds, projected = map(as_numpy, self._scorer.project_patches(stored))
        return embeds, projected[:, level_slices(self._levels)[self._finest]]

    def _maps(self, alone: np.ndarray, patches: np.ndarray) -> np.ndarray:
        """How well each patch matches each word, (B, W, G)."""
        mean = self._mean_patches()
        shares = np.swapaxes((patches if mean is None else patches - mean) @ alone.T, 1, 2)
        if len(alone) > 1:
            shares = shares - shares.mean(axis=1, keepdims=True)
        return shares

    def _compute_mean_patches(self) -> np.ndarray | None:
        """The mean of the projected patches (G, V) over a sample of the store's photos."""
        ids = self._store.product_ids()
        step = max(1, len(ids) // MEAN_SAMPLE)
        states = self._store.states((each, 0) for each in islice(ids, 0, None, step))
        if len(states) < MIN_SAMPLE:
            return None
        return self._project(np.stack([*states.values()]))[1].mean(axis=0)

    def _foreground(self, photo: bytes | None, box: Box) -> np.ndarray:
        """The share of each patch (G,) that shows the product, by the run's own detector; 1 everywhere without one."""
        grid = self._levels[self._finest].grid
        if not photo:
            return np.ones(grid * grid, np.float32)
        image = open_image(photo)
        mask = Image.fromarray(np.uint8(255 * self._scorer.processor.image_processor.foreground(image)))
        edges = (box[0] * mask.width, box[1] * mask.height, box[2] * mask.width, box[3] * mask.height)
        left, top, right, bottom = map(round, edges)
        portion = mask.crop((left, top, right, bottom))  # background beyond the photo's edges
        shares = np.asarray(portion.resize((grid, grid), Image.Resampling.BOX), np.float32).flatten() / 255
        return shares if shares.any() else np.ones_like(shares)

    def _best_patches(self, heat: np.ndarray, box: Box) -> list[PatchWeight]:
        """The patches that a word matches best, from its heat map (G,)."""
        if heat.max() <= 0:
            return []
        first = level_slices(self._levels)[self._finest].start
        heat, width, height = heat / heat.max(), box[2] - box[0], box[3] - box[1]
        found = []
        for place in np.argsort(-heat, kind="stable")[:MAX_PATCHES]:
            if heat[place] >= MIN_WEIGHT:
                x1, y1, x2, y2 = patch_boxes(self._levels)[first + place].tolist()
                edges = (box[0] + x1 * width, box[1] + y1 * height, box[0] + x2 * width, box[1] + y2 * height)
                left, top, right, bottom = (min(max(edge, 0.0), 1.0) for edge in edges)
                found.append(PatchWeight(int(first + place), left, top, right, bottom, float(heat[place])))
        return [each for each in found if each.x2 > each.x1 and each.y2 > each.y1]


def _word_weights(photos: np.ndarray, texts: np.ndarray) -> np.ndarray:
    """The decrease (B, W) of the cosine of photos (B, V) with the text when a word is left out; rows sum to 1.

    texts: (1 + W, V), the whole text first. If no word increases the cosine, all have equal weight.
    """
    cosines = photos @ texts.T  # (B, 1 + W)
    lost = np.maximum(cosines[:, :1] - cosines[:, 1:], 0)
    total = lost.sum(axis=1, keepdims=True)
    return np.where(total > 0, lost / np.where(total > 0, total, 1), 1 / lost.shape[1])
