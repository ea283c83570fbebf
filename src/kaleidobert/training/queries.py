"""What a product's embedding is trained to be found by, in place of its whole text: what shoppers type is shorter."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import BatchEncoding, PreTrainedTokenizerFast

from kaleidobert.data.short_queries import short_query
from kaleidobert.model.distributed import BatchShard
from kaleidobert.training.dataset import PreparedDataset
from kaleidobert.training.sampling import Draw
from kaleidobert.words import index_words, stems

CHOSEN_SHARE = 0.5  # of the products with queries from which shoppers chose them, that are trained by one of these


class QuerySampler:
    """Draws the queries of a batch.

    word_dropout: the mean share of words that a text loses. short_queries: the share of products whose query is made of
    their own facts. chosen: by product id, queries from which shoppers chose the product, one of which is its query in
    half of the batches; drawn by a generator of its own, seeded by ``seed``, as every process needs those of all.
    """

    def __init__(
        self,
        dataset: PreparedDataset,
        tokenizer: PreTrainedTokenizerFast,
        word_dropout: float = 0.0,
        short_queries: float = 0.0,
        seed: int = 0,
        chosen: Mapping[str, Sequence[str]] = MappingProxyType({}),
    ) -> None:
        self.tokenizer = tokenizer
        self.dataset = dataset
        self.word_dropout = word_dropout
        self.short_queries = short_queries
        self.seed = seed
        self.chosen = chosen
        self.facts = dataset.facts() if short_queries or chosen else None

    def __call__(
        self, draws: Sequence[Draw], shard: BatchShard, encoded: BatchEncoding, rngs: Sequence[np.random.Generator]
    ) -> dict[str, Tensor]:
        """Queries of a shard's rows (B,) of a batch, which have these texts and generators.

        query_ids and query_mask (B, Q), where any text is replaced; with facts or chosen queries also facts (B, F),
        codes of what the products are, and asked (B, F), those that their queries name, -1 for none
        (`losses.also_fitting`).
        """
        found = drop_words(encoded, rngs, self.word_dropout) if self.word_dropout else {}
        if self.facts is None:
            return found
        rows = np.array([draw.product for draw in draws[shard.rows]])
        codes = self.facts.codes[rows]
        asked = np.full_like(codes, -1)
        queries: dict[int, str] = {}
        for place, rng in enumerate(rngs):
            if rng.random() < self.short_queries and (query := short_query(self.facts.product(rows[place]), rng)):
                queries[place], asked[place] = query.text, self.facts.asked(rows[place], query.facts)
        everyone = [self._typed(draw) for draw in draws] if self.chosen else []
        typed = {place: query for place, query in enumerate(everyone[shard.rows]) if query}
        asked[list(typed)] = -1
        fits, named = self._chosen_from(rows, typed, filter(None, everyone))
        found["facts"] = torch.from_numpy(np.concatenate([codes, fits], axis=1))
        found["asked"] = torch.from_numpy(np.concatenate([asked, named], axis=1))
        queries |= typed
        return found | (self._replaced(queries, encoded, found) if queries else {})

    def _typed(self, draw: Draw) -> str | None:
        """In some epochs, one of the queries that a product was chosen from."""
        own = self.chosen.get(self.dataset.ids[draw.product])
        rng = np.random.default_rng([self.seed, draw.epoch, draw.product, 1])
        return own[int(rng.integers(len(own)))] if own and rng.random() < CHOSEN_SHARE else None

    def _chosen_from(
        self, rows: np.ndarray, typed: Mapping[int, str], everyone: Iterable[str]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Facts (B, C), 1 where a query typed for any product of the whole batch fits one of ``rows``, else 0; and
        which are asked, -1 for none.

        It fits those that were chosen from it, and those whose text and labels have all of its words.
        """
        columns = {query: column for column, query in enumerate(dict.fromkeys(everyone))}
        fits = np.zeros((len(rows), len(columns)), dtype=np.int64)
        named = np.full_like(fits, -1)
        asked = {query: set(stems(query)) for query in columns}
        for place, row in enumerate(rows if columns else ()):
            own, words = self.chosen.get(self.dataset.ids[row], ()), self._words(row)
            fits[place, [columns[query] for query in columns if query in own or asked[query] <= words]] = 1
            if place in typed:
                named[place, columns[typed[place]]] = 1
        return fits, named

    def _words(self, row: int) -> set[str]:
        data = self.dataset
        labels = data.categories[row], data.subcategories[row], *data.attributes[row].values()
        return index_words(data.texts[row], *labels)

    def _replaced(
        self, queries: Mapping[int, str], encoded: BatchEncoding, found: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """query_ids and query_mask (B, Q) with these queries in their places."""
        short = self.tokenizer([*queries.values()], padding=True, truncation=True, return_tensors="pt")
        replaced = {}
        for name, source, padding in (("ids", "input_ids", self.tokenizer.pad_token_id), ("mask", "attention_mask", 0)):
            whole = found.get(f"query_{name}", encoded[source])
            missing = short[source].shape[1] - whole.shape[1]
            whole = F.pad(whole, (0, max(0, missing)), value=padding).clone()
            whole[list(queries)] = F.pad(short[source], (0, max(0, -missing)), value=padding)
            replaced[f"query_{name}"] = whole
        return replaced


def drop_words(encoded: BatchEncoding, rngs: Sequence[np.random.Generator], share: float) -> dict[str, Tensor]:
    """Texts without some words: query_ids and query_mask (B, Q).

    The dropped share is drawn for each text, uniformly from 0 to twice ``share``; at least one word stays.
    """
    ids, mask = encoded["input_ids"], encoded["attention_mask"].bool()
    kept = mask.clone()
    for row, rng in enumerate(rngs):
        limit = 2 * share * rng.random()
        words = np.array([-1 if word is None else word for word in encoded.word_ids(row)])
        count = words.max() + 1
        dropped = np.flatnonzero(rng.random(count) < limit)
        kept[row] &= torch.from_numpy(~np.isin(words, dropped[: count - 1]))
    order = kept.int().argsort(dim=1, descending=True, stable=True)[:, : kept.sum(dim=1).max()]
    return {"query_ids": ids.gather(1, order), "query_mask": kept.gather(1, order).long()}
