"""Encode many products with a trained model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import PreTrainedTokenizerFast

from kaleidobert.model.pair_model import KaleidoBertPairModel
from kaleidobert.progress import progress_bar
from kaleidobert.scoring.joint_scores import layout_states
from kaleidobert.training.collators import PairCollator
from kaleidobert.training.dataset import PreparedDataset

TOKENS = 32  # of each text: titles come first


class ProductEmbeddings(NamedTuple):
    """The encodings of the first view and the text of M products.

    Plain embeddings (M, V) of both; layout_states (M, F) float16; tokens (M, ``TOKENS``).
    """

    images: Tensor
    texts: Tensor
    layout_states: Tensor
    tokens: Tensor


@torch.inference_mode()
def embed_products(
    model: KaleidoBertPairModel,
    tokenizer: PreTrainedTokenizerFast,
    dataset: PreparedDataset,
    rows: Sequence[int],
    title: str,
) -> ProductEmbeddings:
    """Encode the products at these ``rows``; ``title`` labels the progress bar."""
    collator = PairCollator(dataset, tokenizer, seed=0, augmented=False)
    parts: list[list[Tensor]] = [[], [], [], []]
    model.eval()
    with torch.autocast(model.device.type, torch.bfloat16), progress_bar() as progress:
        for start in progress.track(range(0, len(rows), 128), description=title):
            batch = collator(rows[start : start + 128])
            ids, mask = batch["input_ids"].to(model.device), batch["attention_mask"].to(model.device)
            image = model.get_image_features(batch["pixel_values"].to(model.device))
            texts = model.get_text_features(ids, mask).text_embeds
            tokens = F.pad(ids[:, :TOKENS], (0, max(0, TOKENS - ids.shape[1])), value=tokenizer.pad_token_id)
            found = (image.image_embeds, texts, layout_states(model, image.patch_states).half(), tokens)
            for part, values in zip(parts, found, strict=True):
                part.append(values)
    return ProductEmbeddings(*map(torch.cat, parts))
