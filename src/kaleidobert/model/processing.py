"""What turns photos and texts into the model's inputs, saved beside its weights."""

from __future__ import annotations

import json
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
from kaleidobert.vision.saliency.base import Box, locked_box
from kaleidobert.vision.saliency.detectors import check_detector, detector

SPECIAL_TOKENS = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}


class KaleidoBertImageProcessor(ImageProcessingMixin):
    """Photo -> locked portion. ``saliency`` names the detector; see `vision.saliency.detectors`."""

    model_input_names = ["pixel_values"]

    def __init__(
        self, image_size: int = 224, saliency: str = "border-colour", keep_aspect: bool = True, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        check_detector(saliency)
        self.image_size = image_size
        self.saliency = saliency
        self.keep_aspect = keep_aspect

    def locked_box(self, image: Image.Image) -> tuple[Box, bool]:
        """The box that locks the product, in pixels, and whether a foreground was found."""
        return locked_box(detector(self.saliency)(image))

    def lock(self, image: Image.Image) -> np.ndarray:
        """RGB photo -> its locked portion (S, S, 3) uint8."""
        return self.lock_or_whole(image)[0]

    def lock_or_whole(self, image: Image.Image) -> tuple[np.ndarray, bool]:
        """The locked portion (S, S, 3) uint8, and whether a product was found; if not, it is the whole photo."""
        box, found = self.locked_box(image)
        return np.asarray(cut_locked_portion(image, box, self.image_size, self.keep_aspect)), found

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
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | os.PathLike, *args: Any, **kwargs: Any
    ) -> KaleidoBertProcessor:
        """Load what `save_pretrained` wrote."""
        folder = pretrained_model_name_or_path
        image_processor = KaleidoBertImageProcessor.from_pretrained(folder, *args, **kwargs)
        tokenizer: Any = AutoTokenizer.from_pretrained(folder, *args, **kwargs)
        return cls(image_processor, tokenizer)

    def save_pretrained(self, save_directory: str | os.PathLike, push_to_hub: bool = False, **kwargs: Any) -> None:
        """Write the image processor's settings and the tokenizer's files; ``push_to_hub`` sends them, too."""
        for part in (self.image_processor, self.tokenizer):
            part.save_pretrained(save_directory, push_to_hub=push_to_hub, **kwargs)

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
    texts = list(texts)
    tokenizer = _untrained(kind)
    normalize, split = tokenizer.normalizer.normalize_str, tokenizer.pre_tokenizer.pre_tokenize_str
    words = {word for text in texts for word, _ in split(normalize(text))}
    # The trainers number what may continue or end a word in the order of a hash map, another one in every run,
    # and break ties by these numbers. As special tokens they get theirs in order.
    pieces: dict[str, set[str]] = {
        "wordpiece": {f"##{character}" for word in words for character in word[1:]},
        "bpe": {f"{word[-1]}</w>" for word in words},
    }
    specials = list(SPECIAL_TOKENS.values())
    settings: dict[str, Any] = {"vocab_size": vocabulary, "show_progress": False}
    settings["special_tokens"] = specials + sorted(pieces.get(kind, ()))
    trainer: Any
    if kind == "wordpiece":
        trainer = trainers.WordPieceTrainer(min_frequency=2, **settings)
    elif kind == "bpe":
        trainer = trainers.BpeTrainer(min_frequency=2, end_of_word_suffix="</w>", **settings)
    else:
        trainer = trainers.UnigramTrainer(unk_token="[UNK]", **settings)
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer = _in_order(tokenizer)
    ends = [(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", special_tokens=ends)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=max_length, **SPECIAL_TOKENS)


def _untrained(kind: str) -> Tokenizer:
    words, spaces = pre_tokenizers.BertPreTokenizer(), pre_tokenizers.Metaspace()
    if kind == "wordpiece":
        tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        tokenizer.pre_tokenizer, tokenizer.decoder = words, decoders.WordPiece()
    elif kind == "bpe":
        tokenizer = Tokenizer(models.BPE(unk_token="[UNK]", end_of_word_suffix="</w>"))
        tokenizer.pre_tokenizer, tokenizer.decoder = words, decoders.BPEDecoder("</w>")
    elif kind in ("unigram", "sentencepiece"):
        tokenizer = Tokenizer(models.Unigram())
        tokenizer.pre_tokenizer = spaces if kind == "sentencepiece" else pre_tokenizers.Sequence([words, spaces])
        tokenizer.decoder = decoders.Metaspace()
    else:
        raise InputError(f"no tokenizer {kind!r}; use wordpiece, bpe, unigram or sentencepiece")
    tokenizer.normalizer = normalizers.BertNormalizer()
    return tokenizer


def _in_order(tokenizer: Tokenizer) -> Tokenizer:
    """Only the special tokens are special, and Unigram's pieces are in the order of the alphabet."""
    state = json.loads(tokenizer.to_str())
    specials = list(SPECIAL_TOKENS.values())
    state["added_tokens"] = [token for token in state["added_tokens"] if token["content"] in specials]
    if state["model"]["type"] == "Unigram":
        pieces = [
            [piece, round(score, 6)] for piece, score in state["model"]["vocab"]
        ]  # sums differ in the last digits
        state["model"]["vocab"] = pieces[: len(specials)] + sorted(pieces[len(specials) :])
    return Tokenizer.from_str(json.dumps(state))
