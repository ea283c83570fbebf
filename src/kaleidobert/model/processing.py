"""The processor: image processor and tokenizer behind one call."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from transformers import BatchFeature, PreTrainedTokenizerBase, ProcessorMixin
from transformers.processing_utils import TextKwargs

from kaleidobert.errors import InputError
from kaleidobert.model.image_processing import ImageInput, KaleidoBertImageProcessor


class KaleidoBertProcessor(ProcessorMixin):
    """Image processor and tokenizer as one.

    ``processor(images=photos, text=texts)`` gives pixel_values (B, 3, S, S), input_ids and attention_mask (B, T).
    Texts are padded to the longest and truncated to the tokenizer's limit, and tensors are PyTorch's, unless
    ``padding``, ``truncation``, ``max_length`` or ``return_tensors`` say otherwise.
    """

    text_kwargs = {"padding": True, "truncation": True, "return_tensors": "pt", "return_token_type_ids": False}
    images_kwargs = {"return_tensors": "pt"}

    def __init__(self, image_processor: KaleidoBertImageProcessor, tokenizer: PreTrainedTokenizerBase) -> None:
        super().__init__(image_processor, tokenizer)

    def __call__(
        self,
        images: ImageInput | Iterable[ImageInput] | None = None,
        text: str | Iterable[str] | None = None,
        **kwargs: Any,
    ) -> BatchFeature:
        """Prepare images, texts or both. Takes the keywords of the image processor and of the tokenizer's call.

        Raises ``InputError`` if there is neither image nor text or ``text`` is empty, and ``TypeError`` for other
        keywords.
        """
        if images is None and text is None:
            raise InputError("nothing to process: give images, text or both")
        text_names = set(TextKwargs.__annotations__)
        names = {"images_kwargs", "text_kwargs", *self.image_processor.valid_kwargs.__annotations__, *text_names}
        if unknown := (set(kwargs) - names) | (set(kwargs.get("text_kwargs", ())) - text_names):
            raise TypeError(f"{type(self).__name__} takes no keyword {min(unknown)!r}")
        texts = text if text is None or isinstance(text, str) else list(text)
        if texts == []:
            raise InputError("text is an empty list; give at least one text, or leave it out")
        return super().__call__(images=images, text=texts, **kwargs)
