"""What benchmarks measure with: drawn products, or those of a catalogue, and a model of a preset's sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from transformers import PreTrainedTokenizerFast, set_seed

from kaleidobert.data.product import Product
from kaleidobert.data.readers import read_products
from kaleidobert.errors import InputError
from kaleidobert.model import KaleidoBertConfig, KaleidoBertForPreTraining, KaleidoBertImageProcessor
from kaleidobert.model.tokenizer import train_tokenizer
from kaleidobert.synthetic import generate
from kaleidobert.training.dataset import PreparedDataset
from kaleidobert.training.locking import lock_products
from kaleidobert.training.runs import freeze
from kaleidobert.training.settings import RunSettings

DRAWN = 64  # products that are drawn at most, as drawing takes longer than most of what is measured


@dataclass(frozen=True)
class Subject:
    """A model with weights at random, the preset's settings, and products with their first photo's locked portion."""

    settings: RunSettings
    config: KaleidoBertConfig
    model: KaleidoBertForPreTraining
    image_processor: KaleidoBertImageProcessor
    tokenizer: PreTrainedTokenizerFast
    products: list[Product]
    dataset: PreparedDataset


def some_products(data: str | None, count: int) -> list[Product]:
    """The first ``count`` products of a catalogue, or drawn ones, each with its first photo; repeated where fewer."""
    found = []
    for product in generate(min(count, DRAWN)) if data is None else read_products(data, None):
        if product.images:
            found.append(replace(product, images=product.images[:1], masks=(), regions=()))
        if len(found) == count:
            break
    if not found:
        raise InputError(f"{data}: no product with a photo; give another catalogue, or leave --data out")
    repeated = (found[number % len(found)] for number in range(count))
    return [replace(product, id=f"{number}-{product.id}") for number, product in enumerate(repeated)]


def subject(settings: RunSettings, data: str | None, products: int) -> Subject:
    """A preset's model, on the GPU if there is one, and ``products`` products to use it with."""
    set_seed(0)
    config = KaleidoBertConfig(**settings.model)
    image_processor = KaleidoBertImageProcessor(config.image_size, config.saliency, config.keep_aspect)
    found = some_products(data, products)
    vocabulary = settings.tokenizer.vocabulary or config.encoder_config.vocab_size
    texts = [product.text for product in found]
    tokenizer = train_tokenizer(texts, vocabulary=vocabulary, max_length=settings.tokenizer.max_length)
    # As large as in a run, though the few texts here use a part of it.
    config.encoder_config.vocab_size = max(vocabulary, len(tokenizer))
    config.encoder_config.pad_token_id = tokenizer.pad_token_id
    model = KaleidoBertForPreTraining(config, settings.objectives)
    freeze(model.kaleidobert, settings.training)
    model.to(torch.device("cuda" if torch.cuda.is_available() else "cpu"))  # type: ignore[arg-type]  # its stubs
    return Subject(settings, config, model, image_processor, tokenizer, found, _prepared(found, image_processor))


def _prepared(products: Sequence[Product], image_processor: KaleidoBertImageProcessor) -> PreparedDataset:
    """As `prepare` does, in memory. Raises ``InputError`` where a photo cannot be read."""
    portions = []
    for product, (views, _, wrong) in lock_products(products, image_processor):
        if wrong:
            raise InputError(f"product {product.id}: {wrong}; leave it out of what is measured")
        portions.append(views[0])
    return PreparedDataset(
        ids=[each.id for each in products],
        titles=[each.title for each in products],
        texts=[each.text for each in products],
        categories=[each.category for each in products],
        subcategories=[each.subcategory for each in products],
        attributes=[each.attributes for each in products],
        first_view=np.arange(len(products) + 1),
        pixels=np.stack(portions),
    )
