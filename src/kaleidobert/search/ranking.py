"""Rank products for a query: recall by vector, then re-ranking of the head by the joint model.

Recall compares the query's vector with every stored one, and charges the nearest for being near to every text
(hubness, see `model.retrieval`); the joint model reads the query's tokens beside the
stored patch states of the best candidates and answers how well the two match (the seed's text-to-image
retrieval). Their order follows ``model.combined_scores``; what lies below the re-ranked head keeps its order
by vectors. An image alone has no tokens to read, and hubness is about texts, so it is ordered by cosine.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from PIL import Image

from kaleidobert.errors import InputError
from kaleidobert.model import load_run
from kaleidobert.search.records import Candidate
from kaleidobert.search.store import Store

RECALL = 200  # least products recalled by cosine, of which those with the best scores go on
RERANK = 50  # candidates the joint model reads by default
STAGES = ("encode", "recall", "rerank", "photos")

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Hit:
    """One product of an answer, best first.

    ``score`` is what the order follows: the combined score of a re-ranked hit, else the cosine less what
    photo and text are charged for their hubness. ``match`` is
    the joint model's probability that text and photo belong together, None where it was not asked.
    """

    rank: int  # from 1
    product: Candidate
    score: float
    match: float | None
    thumbnail: bytes = b""  # JPEG

    @property
    def cosine(self) -> float:
        return self.product.cosine

    @property
    def label(self) -> str:
        """The score for people: '93 % match', or '0.412 similarity' where the joint model was not asked."""
        if self.match is None:
            return f"{self.cosine:.3f} similarity"
        return f"{self.match:.0%} match".replace("%", " %")


@dataclass(frozen=True, slots=True)
class Answer:
    """The hits of a query and how long each stage took, in seconds."""

    hits: list[Hit]
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Encoded:
    """A query as the model sees it: vector (P,), and for a text its hubness, tokens (1, T, H) and mask (1, T)."""

    vector: np.ndarray
    hubness: float
    tokens: torch.Tensor | None
    mask: torch.Tensor | None


class Ranker:
    """Answers queries on one store with the model that made it. Safe to call from several threads.

    Raises ``InputError`` when the store holds another model's vectors.
    """

    def __init__(self, model: Any, processor: Any, store: Store, model_folder: str = "the given model") -> None:
        self.model = model.eval()
        self.processor = processor
        self.store = store
        self.model_folder = model_folder
        self.fingerprint: str = model.fingerprint()
        self._device = next(model.parameters()).device
        self._processing = threading.Lock()  # fast tokenizers refuse concurrent use ("Already borrowed")
        self.check()

    @classmethod
    def open(cls, store_uri: str, model_folder: Path | None = None) -> Ranker:
        """Open a store with its model: ``model_folder``, or the folder the store was made with."""
        store = Store.open(store_uri)
        folder = model_folder or Path(store.info.model)
        if not folder.is_dir():
            hint = "" if model_folder else f" (the one {store_uri} was made with; say where it is with --model)"
            raise InputError(f"no model folder at {folder}{hint}")
        model, processor = load_run(folder)
        return cls(model, processor, store, str(folder))

    def check(self) -> None:
        """Raise ``InputError`` when the store no longer belongs to this model."""
        self.store.check_model(self.fingerprint, self.model_folder)

    def search(
        self,
        query_text: str | None,
        image: Image.Image | None = None,
        filters: Mapping[str, str] | None = None,
        top: int = 10,
        rerank: int = RERANK,
    ) -> list[Hit]:
        """The best ``top`` products, with thumbnails; see ``answer``."""
        return self.answer(query_text, image, filters, top, rerank).hits

    def answer(
        self,
        query_text: str | None,
        image: Image.Image | None = None,
        filters: Mapping[str, str] | None = None,
        top: int = 10,
        rerank: int = RERANK,
        thumbnails: bool = True,
    ) -> Answer:
        """The best ``top`` products for a text, a photo or both; the joint model reads the best ``rerank``.

        ``rerank=0`` orders by vectors alone, and so does a model whose ``joint_weight`` is 0; equal scores are
        ordered by id. Raises ``InputError`` for a query without text and photo.
        """
        text = (query_text or "").strip()
        if not text and image is None:
            raise InputError("the query is empty: give a text, a photo or both")
        if top < 1 or rerank < 0:
            raise InputError(f"top must be at least 1 and rerank at least 0, not {top} and {rerank}")
        self.check()
        seconds = dict.fromkeys(STAGES, 0.0)
        query = _timed(seconds, "encode", lambda: self._encode(text, image))
        found = _timed(seconds, "recall", lambda: self._recall(query, max(top, rerank), filters or {}))
        weighs = self.model.config.joint_weight != 0  # 0: validation found that the joint model adds nothing
        if query.tokens is not None and rerank and weighs:
            head = _timed(seconds, "rerank", lambda: self._rerank(query, found[:rerank]))
            hits = [*head, *found[rerank:]]
        else:
            hits = found
        hits = hits[:top]
        keys = [(hit.product.id, hit.product.view) for hit in hits] if thumbnails else []
        photos = _timed(seconds, "photos", lambda: self.store.thumbnails(keys))
        return Answer(
            [
                Hit(
                    rank,
                    hit.product,
                    hit.score,
                    hit.match,
                    photos.get((hit.product.id, hit.product.view), b""),
                )
                for rank, hit in enumerate(hits, start=1)
            ],
            seconds,
        )

    def why_nothing(self, filters: Mapping[str, str]) -> str:
        """Why an answer with these filters is empty and what to try, in one sentence."""
        if not filters:
            return "The store is empty."
        names = self.store.filter_names()
        unknown = [name for name in filters if name not in names]
        if unknown:
            return f"No product has {unknown[0]!r}; filters are: {', '.join(names)}."
        return "No product passes the filters: drop one, or check the spelling (case counts)."

    @torch.inference_mode()
    def _encode(self, text: str, image: Image.Image | None) -> _Encoded:
        vectors, hubness, tokens, mask = [], 0.0, None, None
        if text:
            inputs = self._process(text=[text])
            mask = inputs["attention_mask"]
            output = self.model.text_entry(inputs["input_ids"], mask)
            tokens = output.tokens
            vectors.append(output.vectors[0])
            hubness = self.model.text_hubness(output.vectors).item()
        if image is not None:
            inputs = self._process(images=[image.convert("RGB")])
            vectors.append(self.model.image_entry(inputs["pixel_values"]).vectors[0])
        mean = torch.stack(vectors).mean(dim=0)  # (P,)
        vector = torch.nn.functional.normalize(mean, dim=0)
        return _Encoded(vector.float().cpu().numpy(), hubness, tokens, mask)

    def _process(self, **inputs: Any) -> dict[str, torch.Tensor]:
        with self._processing:
            batch = self.processor(**inputs)
        return {name: tensor.to(self._device) for name, tensor in batch.items()}

    def _recall(self, query: _Encoded, count: int, filters: Mapping[str, str]) -> list[Hit]:
        """The ``count`` best products by vectors."""
        if query.tokens is None:
            return [Hit(0, each, each.cosine, None) for each in self.store.recall(query.vector, count, filters)]
        found = self.store.recall(query.vector, max(count, RECALL), filters)
        weight = self.model.config.hubness_weight
        hits = [Hit(0, each, each.cosine - weight * (each.hubness + query.hubness), None) for each in found]
        return sorted(hits, key=lambda hit: (-hit.score, hit.product.id))[:count]

    @torch.inference_mode()
    def _rerank(self, query: _Encoded, hits: Sequence[Hit]) -> list[Hit]:
        """All of these hits by combined score, from one batched forward over stored patch states."""
        assert query.tokens is not None and query.mask is not None
        states = self.store.states((hit.product.id, hit.product.view) for hit in hits)
        present = [hit for hit in hits if (hit.product.id, hit.product.view) in states]  # others were just removed
        if not present:
            return []
        patches = torch.from_numpy(
            np.stack([states[hit.product.id, hit.product.view] for hit in present])
        )  # (B, 55, H)
        count = len(present)
        joint = self.model.joint_scores(
            query.tokens.expand(count, -1, -1),
            query.mask.expand(count, -1),
            patches.to(self._device, self.model.dtype),
        )  # (B,) logits
        similarity = torch.tensor([hit.score for hit in present], device=self._device)
        combined = self.model.combined_scores(similarity, joint).float().tolist()
        match = torch.sigmoid(joint.float()).tolist()
        products = [hit.product for hit in present]
        ranked = [Hit(0, *parts) for parts in zip(products, combined, match, strict=True)]
        return sorted(ranked, key=lambda hit: (-hit.score, hit.product.id))


def _timed(seconds: dict[str, float], stage: str, work: Callable[[], Result]) -> Result:
    started = time.perf_counter()
    result = work()
    seconds[stage] = time.perf_counter() - started
    return result
