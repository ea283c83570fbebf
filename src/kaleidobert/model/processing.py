"""What turns photos and texts into the model's inputs, saved beside its weights."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, BatchFeature, PreTrainedTokenizerFast, ProcessorMixin
from transformers.image_processing_base import ImageProcessingMixin

from kaleidobert.errors import InputError
from kaleidobert.vision.patches import cut_locked_portion
from kaleidobert.vision.saliency import DETECTORS, Box, locked_box

SPECIAL_TOKENS = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}


class KaleidoBertImageProcessor(ImageProcessingMixin):
    """Photo -> locked portion. ``saliency`` names the detector; see `vision.saliency.DETECTORS`."""

    model_input_names = ["pixel_values"]

    def __init__(
        self, image_size: int = 224, saliency: str = "border-colour", keep_aspect: bool = True, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if saliency not in DETECTORS:
            raise InputError(f"no saliency detector {saliency!r}; use one of {', '.join(DETECTORS)}")
        self.image_size = image_size
        self.saliency = saliency
        self.keep_aspect = keep_aspect

    def locked_box(self, image: Image.Image) -> tuple[Box, bool]:
        """The box that locks the product, in pixels, and whether a foreground was found."""
        return locked_box(DETECTORS[self.saliency](image))

    def lock(self, image: Image.Image) -> np.ndarray:
        """RGB photo -> its locked portion (S, S, 3) uint8."""
        box, _ = self.locked_box(image)
        return np.asarray(cut_locked_portion(image, box, self.image_size, self.keep_aspect))

    def __call__(self, images: Image.Image | Sequence[Image.Image], **_: Any) -> BatchFeature:
        """RGB photos -> ``pixel_values`` (B, 3, S, S) float32 in [0, 1]."""
        images = [images] if isinstance(images, Image.Image) else images
        locked = np.stack([self.lock(image.convert("RGB")) for image in images])
        return BatchFeature({"pixel_values": to_pixel_values(torch.from_numpy(locked))})


def to_pixel_values(locked: torch.Tensor) -> torch.Tensor:
    """Locked portions (B, S, S, 3) uint8 -> (B, 3, S, S) float32 in [0, 1]."""
    return locked.permute(0, 3, 1, 2).float() / 255


class KaleidoBertProcessor(ProcessorMixin):
    """Image processor and tokenizer in one, as `transformers` users know it.

    ``processor(images=photos, text=texts)`` gives pixel_values (B, 3, S, S), input_ids and attention_mask (B, T).
    """

    def __init__(self, image_processor: KaleidoBertImageProcessor, tokenizer: PreTrainedTokenizerFast) -> None:
        self.image_processor = image_processor
        self.tokenizer = tokenizer
        self.chat_template = None

    @classmethod
    def from_pretrained(cls, folder: str | os.PathLike, **kwargs: Any) -> KaleidoBertProcessor:
        """Load what `save_pretrained` wrote."""
        image_processor = KaleidoBertImageProcessor.from_pretrained(folder, **kwargs)
        return cls(image_processor, AutoTokenizer.from_pretrained(folder, **kwargs))

    def save_pretrained(self, folder: str | os.PathLike, **kwargs: Any) -> None:
        self.image_processor.save_pretrained(folder, **kwargs)
        self.tokenizer.save_pretrained(folder, **kwargs)

    def __call__(
        self,
        images: Image.Image | Sequence[Image.Image] | None = None,
        text: str | Sequence[str] | None = None,
        **_: Any,
    ) -> BatchFeature:
        if images is None and text is None:
            raise InputError("nothing to process: give images, text or both")
        inputs = {} if images is None else dict(self.image_processor(images))
        if text is not None:
            texts = [text] if isinstance(text, str) else list(text)
            inputs |= self.tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
            inputs.pop("token_type_ids", None)
        return BatchFeature(inputs)


def train_tokenizer(
    texts: Iterable[str], kind: str = "wordpiece", vocabulary: int = 8000, max_length: int = 64
) -> PreTrainedTokenizerFast:
    """Train a sub-word tokenizer on the catalogue's own texts, with BERT's special tokens and normalisation.

    ``kind``: wordpiece, bpe, unigram (on words), or sentencepiece (unigram on the raw text, spaces included).
    """
    specials = list(SPECIAL_TOKENS.values())
    settings: dict[str, Any] = {"vocab_size": vocabulary, "special_tokens": specials, "show_progress": False}
    if kind == "wordpiece":
        tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        trainer = trainers.WordPieceTrainer(min_frequency=2, **settings)
        tokenizer.decoder = decoders.WordPiece()
    elif kind == "bpe":
        tokenizer = Tokenizer(models.BPE(unk_token="[UNK]", end_of_word_suffix="</w>"))
        trainer = trainers.BpeTrainer(min_frequency=2, end_of_word_suffix="</w>", **settings)
        tokenizer.decoder = decoders.BPEDecoder("</w>")
    elif kind in ("unigram", "sentencepiece"):
        tokenizer = Tokenizer(models.Unigram())
        trainer = trainers.UnigramTrainer(unk_token="[UNK]", **settings)
        tokenizer.decoder = decoders.Metaspace()
    else:
        raise InputError(f"no tokenizer {kind!r}; use wordpiece, bpe, unigram or sentencepiece")
    words = pre_tokenizers.BertPreTokenizer()
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = {
        "unigram": pre_tokenizers.Sequence([words, pre_tokenizers.Metaspace()]),
        "sentencepiece": pre_tokenizers.Metaspace(),
    }.get(kind, words)
    tokenizer.train_from_iterator(texts, trainer)
    ends = [(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", special_tokens=ends)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=max_length, **SPECIAL_TOKENS)
