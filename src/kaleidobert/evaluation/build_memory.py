"""Build the retrieval memory of a run from a catalogue's training products."""

from __future__ import annotations

from typing import Any

import numpy as np

from kaleidobert.model.retrieval import KaleidoBertForRetrieval
from kaleidobert.scoring.cross_modal_memory import CrossModalMemory
from kaleidobert.scoring.layout_memory import LayoutMemory
from kaleidobert.scoring.memory import RetrievalMemory, product_keys
from kaleidobert.training.dataset import PreparedDataset
from kaleidobert.training.encode import embed_products

MEMORY_PAIRS = 40_000  # at most; a random sample of larger catalogues


def build_memory(model: KaleidoBertForRetrieval, tokenizer: Any, train: PreparedDataset, seed: int) -> RetrievalMemory:
    """A memory of up to ``MEMORY_PAIRS`` training products."""
    chosen = np.random.default_rng([seed, 1]).permutation(len(train))[:MEMORY_PAIRS]
    found = embed_products(model, tokenizer, train, chosen.tolist(), "building the retrieval memory")
    vocabulary, padding = model.config.encoder_config.vocab_size, tokenizer.pad_token_id
    layouts = LayoutMemory.build(found.layout_states, found.tokens, vocabulary, padding)
    products = product_keys(train.ids[row] for row in chosen).to(model.device)
    return RetrievalMemory(CrossModalMemory(found.images, found.texts), layouts, products)
