"""Scores pairs of photo and text with a run's model, ranking weights and memory; the only place that does."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from kaleidobert.errors import InputError
from kaleidobert.model.configuration import KaleidoBertConfig
from kaleidobert.model.layers import PrefixCache
from kaleidobert.model.loading import load_model, load_processor
from kaleidobert.model.outputs import KaleidoBertImageOutput
from kaleidobert.model.processing import KaleidoBertProcessor
from kaleidobert.model.retrieval import KaleidoBertForRetrieval
from kaleidobert.scoring import formula
from kaleidobert.scoring.joint_scores import JointScorer
from kaleidobert.scoring.memory import RetrievalMemory
from kaleidobert.scoring.protocol import Array, ImageBatch, Scores, TextBatch
from kaleidobert.scoring.ranking import Ranking, RankingWeights

ImageInput = str | Path | Image.Image | np.ndarray | Tensor
# Settings that change what the same weights compute.
SHAPING_SETTINGS = (
    *("levels", "patch_features", "image_mean", "image_std", "image_size", "crop_size"),
    *("keep_aspect", "saliency", "fusion_layer", "image_layers", "projection_size", "mirror"),
)
UNFITTED = Ranking()


class KaleidoBertScorer:
    """Scores and ranks pairs of photo and text by the search application's formula. Thread-safe.

    Loaded from a run folder: the model, ``ranking.json`` and, if there is one, ``memory.safetensors``.
    """

    def __init__(
        self,
        model: KaleidoBertForRetrieval,
        processor: KaleidoBertProcessor,
        ranking: Ranking = UNFITTED,
        memory: RetrievalMemory | None = None,
        name: str = "the given model",
    ) -> None:
        self.model = model.eval()
        self.processor = processor
        self.ranking = ranking
        self.memory = memory if ranking.with_memory else None
        self.weights = (ranking.with_memory if self.memory else None) or ranking.without_memory
        self.name = name
        if self.memory is not None:
            self.memory.to(model.device)
        self.joint = JointScorer(model, self.weights, self.memory)
        self._processing = threading.Lock()  # fast tokenizers refuse concurrent use ("Already borrowed")

    @classmethod
    def from_pretrained(cls, run: str | Path, memory: bool = True) -> KaleidoBertScorer:
        """Load a run folder, onto the GPU if there is one; ``memory=False`` ignores its memory.

        Raises ``InputError`` for a folder that is no finished run, or one without a fitted ranking.
        """
        folder = Path(run)
        model, processor = load_model(folder, KaleidoBertForRetrieval), load_processor(folder)
        return cls(
            model, processor, Ranking.load(folder), RetrievalMemory.load(folder) if memory else None, str(folder)
        )

    def without_memory(self) -> KaleidoBertScorer:
        """The same model without the memory, with the weights fitted for that."""
        return KaleidoBertScorer(self.model, self.processor, Ranking(self.ranking.without_memory), name=self.name)

    def with_weights(self, weights: RankingWeights) -> KaleidoBertScorer:
        """The same model and memory with other weights."""
        ranking = Ranking(weights, weights if self.memory else None)
        return KaleidoBertScorer(self.model, self.processor, ranking, self.memory, self.name)

    @property
    def config(self) -> KaleidoBertConfig:
        return self.model.config

    @property
    def device(self) -> torch.device:
        return self.model.device

    @cached_property
    def scale(self) -> float:
        """1 / temperature of the cosines."""
        return float(self.model.scale().item())

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits over all that embeddings depend on: weights, memory and settings; stored with an index."""
        settings: dict[str, Any] = {name: getattr(self.config, name) for name in SHAPING_SETTINGS}
        settings["num_attention_heads"] = self.config.encoder_config.num_attention_heads
        state = dict(self.model.state_dict())
        if self.memory is not None:
            settings |= {name: getattr(self.weights, name) for name in ("memory_weight", "memory_neighbours")}
            state |= {f"memory.{name}": tensor for name, tensor in self.memory.state_dict().items()}
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
        for name, tensor in sorted(state.items()):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()[:16]

    # Scores of pairs

    @torch.inference_mode()
    def score(self, images: Sequence[ImageInput] | ImageInput, texts: Sequence[str] | str) -> Tensor:
        """Scores (N,) of N pairs, the i-th image with the i-th text; higher is better.

        They are those by which a search orders the candidates that it re-ranks. images: PIL images, arrays, tensors or
        paths, or a batch of them. Raises ``InputError`` unless there is one text per image.
        """
        images = _listed(images)
        texts = [texts] if isinstance(texts, str) else list(texts)
        photos = self.encode_images(images) if len(images) else None
        count = len(photos.embeds) if photos else 0
        if count != len(texts):
            raise InputError(f"{count} images and {len(texts)} texts: give one text for each image")
        return self._score_pairs(photos, self.encode_texts(texts)) if photos else torch.empty(0)

    @torch.inference_mode()
    def rank(self, query: str, images: Sequence[ImageInput], top_k: int | None = None) -> list[dict[str, Any]]:
        """Rank images for a query: [{"index": ..., "score": ...}], best first."""
        images = _listed(images)
        if not len(images):
            return []
        photos, text = self.encode_images(images), self.encode_texts([query])
        repeated = TextBatch(*(part.expand(len(photos.embeds), *part.shape[1:]) for part in text))
        scores = self._score_pairs(photos, repeated).tolist()
        order = sorted(range(len(scores)), key=lambda index: -scores[index])[:top_k]
        return [{"index": index, "score": scores[index]} for index in order]

    def _score_pairs(self, images: ImageBatch, texts: TextBatch) -> Tensor:
        cosine = (images.embeds * texts.embeds).sum(dim=-1)
        similarity = self.similarity(cosine, images.hubness + texts.hubness)
        if not self.weights.joint_weight["TIR"]:
            return self.combine(similarity, torch.zeros_like(similarity)).cpu()
        joint = self.joint_scores(texts.input_ids, texts.attention_mask, images.patch_states)
        return self.combine(similarity, joint).cpu()

    def similarity(self, cosine: Scores, hubness: Scores) -> Scores:
        """See `formula.similarity`."""
        return formula.similarity(self.weights, cosine, hubness)

    def combine(self, similarity: Scores, joint: Scores, direction: str = "TIR") -> Scores:
        """See `formula.combine`."""
        return formula.combine(self.weights, self.scale, similarity, joint, direction)

    # Embeddings

    @torch.inference_mode()
    def encode_texts(self, texts: Sequence[str]) -> TextBatch:
        """Encode texts for search, enhanced by the memory if there is one."""
        inputs = self._process(text=list(texts))
        input_ids, attention_mask = inputs["input_ids"], inputs["attention_mask"]
        embeds = self.enhance_texts(self.model.get_text_features(input_ids, attention_mask).text_embeds)
        return TextBatch(embeds, self.text_hubness(embeds), input_ids, attention_mask)

    @torch.inference_mode()
    def encode_images(self, images: Sequence[ImageInput]) -> ImageBatch:
        """Encode photos for search, enhanced by the memory if there is one."""
        return self.encode_pixels(self._process(images=list(images))["pixel_values"])

    @torch.inference_mode()
    def encode_pixels(self, pixel_values: Array, products: Sequence[str] | None = None) -> ImageBatch:
        """Encode locked portions (N, 3, S, S) in [0, 1] for search; ``products``: their ids, none of which recalls
        itself from the memory."""
        output: KaleidoBertImageOutput = self.model.get_image_features(self._tensor(pixel_values))
        own = self.own_rows(products)
        embeds = self.enhance_images(output.image_embeds, own)
        return ImageBatch(embeds, self.image_hubness(embeds, own), output.patch_states)

    def own_rows(self, products: Sequence[str] | None) -> Tensor | None:
        """The memory rows (N,) of these products, -1 where the memory has none; None without ids or memory."""
        return None if self.memory is None or products is None else self.memory.rows(products)

    def enhance_images(self, embeds: Tensor, own: Tensor | None = None) -> Tensor:
        """Plain image embeddings (N, V) -> those used for search. ``own`` (N,): `own_rows`, which are left out."""
        if self.memory is None:
            return embeds
        weights = self.weights
        return self.memory.pairs.enhance_images(
            embeds, self.scale, weights.memory_weight, weights.memory_neighbours, own
        )

    def enhance_texts(self, embeds: Tensor, own: Tensor | None = None) -> Tensor:
        """Plain text embeddings (N, V) -> those used for search. ``own`` (N,): `own_rows`, which are left out."""
        if self.memory is None:
            return embeds
        weights = self.weights
        return self.memory.pairs.enhance_texts(
            embeds, self.scale, weights.memory_weight, weights.memory_neighbours, own
        )

    def image_hubness(self, embeds: Tensor, own: Tensor | None = None) -> Tensor:
        """The hubness (N,) of image embeddings (N, V); 0 without a memory."""
        if self.memory is None:
            return embeds.new_zeros(len(embeds))
        return self.memory.pairs.image_hubness(embeds, self.scale, own)

    def text_hubness(self, embeds: Tensor, own: Tensor | None = None) -> Tensor:
        """The hubness (N,) of text embeddings (N, V); 0 without a memory."""
        if self.memory is None:
            return embeds.new_zeros(len(embeds))
        return self.memory.pairs.text_hubness(embeds, self.scale, own)

    @torch.inference_mode()
    def plain_text_embeds(self, texts: Sequence[str]) -> Tensor:
        """Text embeddings (N, V) without the memory."""
        return self.model.get_text_features(**self._process(text=list(texts))).text_embeds

    @torch.inference_mode()
    def project_patches(self, patch_states: Array) -> tuple[Tensor, Tensor]:
        """Patch states (N, P, H) -> plain embeddings (N, V) and the contribution of each patch (N, P, V)."""
        return self.model.kaleidobert.project_patches(self._tensor(patch_states).to(self.model.dtype))

    @torch.inference_mode()
    def encode_prefix(self, patch_states: Array) -> PrefixCache | None:
        """Keys and values of patch states (M, P, H) for `joint_scores`; None where it uses none."""
        return self.joint.encode_prefix(self._tensor(patch_states))

    @torch.inference_mode()
    def joint_scores(
        self,
        input_ids: Array,
        attention_mask: Array,
        patch_states: Array,
        photos: Array | None = None,
        log_prior: Array | None = None,
        own: Array | None = None,
        text_own: Array | None = None,
        *,
        prefix: PrefixCache | None = None,
    ) -> Tensor:
        """Joint scores (N,) of texts (N, T) and patch states (N, P, H); see `JointScorer.joint_scores`."""
        inputs = (input_ids, attention_mask, patch_states)
        also = (None if each is None else self._tensor(each) for each in (photos, log_prior, own, text_own))
        return self.joint.joint_scores(*map(self._tensor, inputs), *also, prefix=prefix)

    def _tensor(self, values: Array) -> Tensor:
        return torch.as_tensor(values).to(self.device)

    def _process(self, **inputs: Any) -> dict[str, Tensor]:
        with self._processing:
            batch = self.processor(**inputs)
        return {name: tensor.to(self.device) for name, tensor in batch.items()}


def _listed(images: Any) -> list[Any]:
    """One image, a batch or an iterable of images as a list."""
    return [images] if isinstance(images, str | Path | Image.Image | np.ndarray | Tensor) else list(images)
