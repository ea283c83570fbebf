"""Queries as the model sees them: the texts of many in one forward pass."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from kaleidobert.alignment.matching import content_words
from kaleidobert.errors import InputError
from kaleidobert.index.protocol import ProductIndex
from kaleidobert.search.query import Query

AVOIDED = 0.3  # share of what is avoided that recall turns away from; the order knows the whole of it


@dataclass(frozen=True, slots=True)
class EncodedText:
    """A text's vector (P,), its hubness, its content words (None for those that no product's
    text has), and its token ids (T,) with their mask (T,)."""

    text: str
    vector: np.ndarray
    hubness: float
    words: tuple[str | None, ...]
    ids: torch.Tensor
    mask: torch.Tensor


@dataclass(frozen=True, slots=True)
class EncodedQuery:
    """What a query looks for: ``text`` and ``image`` (P,), one of them or both, and the phrases to avoid."""

    text: EncodedText | None
    image: np.ndarray | None
    avoid: list[EncodedText]

    @property
    def single(self) -> bool:
        """Whether recall's cosines are all that the order needs."""
        return not self.avoid and (self.text is None or self.image is None)

    @property
    def vector(self) -> np.ndarray:
        """What recall goes by: the mean of what is looked for, turned away from what is not."""
        wanted = ([self.text.vector] if self.text else []) + ([self.image] if self.image is not None else [])
        mean = np.mean(wanted, axis=0)
        for phrase in self.avoid:
            mean = mean - AVOIDED * phrase.vector
        return mean / np.linalg.norm(mean)


class QueryEncoder:
    """Encodes queries with one model and the products of one store. Safe to call from several threads."""

    def __init__(self, model: Any, processor: Any, store: ProductIndex) -> None:
        self._model = model
        self._processor = processor
        self._store = store
        self._processing = threading.Lock()  # fast tokenizers refuse concurrent use ("Already borrowed")

    def encode(self, queries: Sequence[Query]) -> list[EncodedQuery]:
        """Raises ``InputError`` for a product to be like that the store does not hold."""
        phrases = [phrases_of(query.avoid) for query in queries]
        texts = [text for query, avoid in zip(queries, phrases, strict=True) for text in (query.text.strip(), *avoid)]
        found = self.texts(list(dict.fromkeys(filter(None, texts))))
        return [
            EncodedQuery(found.get(query.text.strip()), self._image(query), [found[phrase] for phrase in avoid])
            for query, avoid in zip(queries, phrases, strict=True)
        ]

    @torch.inference_mode()
    def texts(self, texts: Sequence[str]) -> dict[str, EncodedText]:
        """Each text encoded, from one forward pass."""
        if not texts:
            return {}
        inputs = self._process(text=list(texts))
        output = self._model.encode_text(inputs["input_ids"], inputs["attention_mask"])
        hubness = self._model.text_hubness(output.vectors).tolist()
        vectors = output.vectors.float().cpu().numpy()
        parts = zip(texts, vectors, hubness, inputs["input_ids"], inputs["attention_mask"], strict=True)
        return {
            text: EncodedText(text, vector, own, self._words(text), ids[mask > 0], mask[mask > 0])
            for text, vector, own, ids, mask in parts
        }

    def _words(self, text: str) -> tuple[str | None, ...]:
        known = self._store.words()
        words = [word.text for word in content_words(text)]
        return tuple(None if word.isalpha() and word.lower() not in known else word for word in words)

    @torch.inference_mode()
    def _image(self, query: Query) -> np.ndarray | None:
        vectors = []
        if query.image is not None:
            inputs = self._process(images=[query.image.convert("RGB")])
            vectors.append(self._model.encode_image(inputs["pixel_values"]).vectors[0].float().cpu().numpy())
        if query.like:
            found = self._store.product(query.like)
            if found is None:
                raise InputError(f"no product with id {query.like!r} to be like: take one from the answer of a search")
            key = (query.like, found[1][0])
            vectors.append(self._store.vectors([key])[key])
        if not vectors:
            return None
        mean = np.mean(vectors, axis=0)
        return mean / np.linalg.norm(mean)

    def _process(self, **inputs: Any) -> dict[str, torch.Tensor]:
        with self._processing:
            batch = self._processor(**inputs)
        return {name: tensor.to(self._model.device) for name, tensor in batch.items()}


def phrases_of(avoid: str) -> list[str]:
    """ "high heels, Leather" -> ["high heels", "Leather"]."""
    return [phrase.strip() for phrase in avoid.split(",") if phrase.strip()]
