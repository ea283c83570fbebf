"""Why a hit: which words of the query point at which patches of its photo, and how much each word matters.

A photo's vector is a projection of the mean of its patch states, so each patch's share in a cosine is exact: the dot
product of its projected state with the word's own vector. Three things make it discriminate (measured in
docs/search.md): a patch counts for how it differs from the same patch of other photos, a word for how it differs from
the query's other words, and patches of background for nothing. This needs the vectors alone, so it explains hits
whether or not the joint model read them. A word weighs what the cosine loses without it.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import lru_cache
from itertools import islice

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from kaleidobert.alignment.matching import Word, content_words
from kaleidobert.index.lancedb_store import Store
from kaleidobert.index.records import Box, ViewKey
from kaleidobert.levels import level_slices, patch_boxes
from kaleidobert.scoring.protocol import PairScorer
from kaleidobert.search.query import Evidence, PatchWeight
from kaleidobert.vision.saliency.border_colour import border_colour

MOST_WORDS, MOST_PATCHES = 12, 6  # explained words of a query, patches of a word
LEAST_WEIGHT = 0.35  # of a patch beside the word's strongest
TYPICAL, FEWEST = 256, 16  # photos that tell what is usual at a patch's place; with fewer nothing is taken off
KEPT = 256  # texts remembered


class Explainer:
    """Explains hits of one store with the model that made it. Safe to call from several threads."""

    def __init__(self, scorer: PairScorer, store: Store) -> None:
        self._scorer = scorer
        self._store = store
        self._levels = scorer.config.level_table
        self._words = lru_cache(KEPT)(self._encode)
        self._usual = lru_cache(1)(self._mean_states)
        self._grid = max(range(len(self._levels)), key=lambda i: self._levels[i].grid)

    def explain(self, text: str, keys: Sequence[ViewKey]) -> dict[ViewKey, list[Evidence]]:
        """For each stored view what each content word points at, in the text's order; a view that is gone is left out.

        Words beyond the first ``MOST_WORDS`` are not looked at; stop words and numbers never are.
        """
        words, alone, without = self._words(text)
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
            shown = self._coverage(photos.get(key), boxes[key])
            heat = maps[row] - maps[row].min(axis=1, keepdims=True)
            strongest = [self._patches(each, boxes[key]) for each in heat * shown]
            found[key] = [
                Evidence(word.text, word.start, word.end, float(weight), patches_of)
                for word, weight, patches_of in zip(words, weights[row], strongest, strict=True)
            ]
        return found

    @torch.inference_mode()
    def _encode(self, text: str) -> tuple[list[Word], Tensor, Tensor]:
        """The words, the vector (W, V) of each alone, and the vectors (1 + W, V) of the text and of it without each."""
        words = content_words(text)[:MOST_WORDS]
        rest = [f"{text[: word.start]} {text[word.end :]}" for word in words]
        vectors = self._scorer.plain_text_embeds([text, *rest, *(word.text for word in words)])
        return words, vectors[len(words) + 1 :], vectors[: len(words) + 1]

    @torch.inference_mode()
    def _project(self, stored: np.ndarray) -> tuple[Tensor, Tensor]:
        """Stored states (B, P, H) -> plain vectors (B, V), and projected patches (B, G, V) of the finest grid."""
        embeds, projected = self._scorer.project_patches(stored)
        return embeds, projected[:, level_slices(self._levels)[self._grid]]

    def _maps(self, alone: Tensor, patches: Tensor) -> np.ndarray:
        """How much each patch speaks for each word, (B, W, G)."""
        usual = self._usual(self._store.version)
        shares = torch.einsum("wv,bgv->bwg", alone, patches if usual is None else patches - usual)
        if len(alone) > 1:
            shares = shares - shares.mean(dim=1, keepdim=True)
        return shares.cpu().numpy()

    def _mean_states(self, _version: str) -> Tensor | None:
        """The mean of the projected patches (G, V) over photos of the store."""
        ids = self._store.catalogue.ids
        step = max(1, len(ids) // TYPICAL)
        states = self._store.states((each, 0) for each in islice(ids, 0, None, step))
        if len(states) < FEWEST:
            return None
        return self._project(np.stack([*states.values()]))[1].mean(dim=0)

    def _coverage(self, photo: bytes | None, box: Box) -> np.ndarray:
        """How much of each patch (G,) is product; 1 for all where no product stands out."""
        grid = self._levels[self._grid].grid
        if not photo:
            return np.ones(grid * grid, np.float32)
        image = Image.open(io.BytesIO(photo)).convert("RGB")
        mask = Image.fromarray(np.uint8(255 * border_colour(image)))
        edges = (box[0] * mask.width, box[1] * mask.height, box[2] * mask.width, box[3] * mask.height)
        left, top, right, bottom = map(round, edges)
        shown = mask.crop((left, top, right, bottom))  # beyond the photo is no product
        cells = np.asarray(shown.resize((grid, grid), Image.Resampling.BOX), np.float32).flatten() / 255
        return cells if cells.any() else np.ones_like(cells)

    def _patches(self, heat: np.ndarray, box: Box) -> list[PatchWeight]:
        """The strongest patches of a word, from its heat (G,)."""
        if heat.max() <= 0:
            return []
        first = level_slices(self._levels)[self._grid].start
        heat, width, height = heat / heat.max(), box[2] - box[0], box[3] - box[1]
        found = []
        for place in np.argsort(-heat, kind="stable")[:MOST_PATCHES]:
            if heat[place] >= LEAST_WEIGHT:
                x1, y1, x2, y2 = patch_boxes(self._levels)[first + place].tolist()
                edges = (box[0] + x1 * width, box[1] + y1 * height, box[0] + x2 * width, box[1] + y2 * height)
                left, top, right, bottom = (min(max(edge, 0.0), 1.0) for edge in edges)
                found.append(PatchWeight(int(first + place), left, top, right, bottom, float(heat[place])))
        return [each for each in found if each.x2 > each.x1 and each.y2 > each.y1]


def _word_weights(photos: Tensor, texts: Tensor) -> np.ndarray:
    """(B, W): what the cosine of photos (B, V) with the text loses without each word, as shares of all that is lost.

    texts (1 + W, V): the whole text first. Where no word helps, all weigh the same.
    """
    cosines = photos @ texts.T  # (B, 1 + W)
    lost = (cosines[:, :1] - cosines[:, 1:]).clamp(min=0).cpu().numpy()
    total = lost.sum(axis=1, keepdims=True)
    return np.where(total > 0, lost / np.where(total > 0, total, 1), 1 / lost.shape[1])
