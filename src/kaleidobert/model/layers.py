"""Run the layers of `transformers`' BERT: masks, caches, recorded attentions, gradient checkpointing.

All use of the internals of BERT's layers is in this module. tests/model/test_layers.py specifies it, and fails here
alone when the library changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoBackbone, BertConfig, BertModel, DynamicCache, PretrainedConfig
from transformers.masking_utils import create_bidirectional_mask
from transformers.models.bert.modeling_bert import BertLayer


def by_length(lengths: Tensor, rows: int = 64) -> Iterator[tuple[Tensor, int]]:
    """The texts of these lengths (N,) in groups of similar ones, so that little padding is computed.

    Yields the indices (n,) of up to ``rows`` texts, and the length of the longest, at least 2: [CLS] and [SEP].
    """
    for group in lengths.argsort(stable=True).split(rows):
        yield group, max(2, int(lengths[group[-1]]))


def run_layers(bert: BertModel, states: Tensor, attention_mask: Tensor | None, first: int, last: int | None) -> Tensor:
    """States (B, N, H) through layers ``first`` to ``last``; attention_mask (B, N) is 0 at padding."""
    layers = bert.encoder.layer[first:last]
    mask = None
    if len(layers) and attention_mask is not None:
        mask = create_bidirectional_mask(bert.config, inputs_embeds=states, attention_mask=attention_mask)
    for layer in layers:
        states = layer(states, mask)
    return states


def run_image_layers(layers: nn.ModuleList, states: Tensor) -> Tensor:
    """Patch states (B, P, H) through the image side's own layers, `BertLayer`s."""
    for layer in layers:
        states = layer(states, None)
    return states


def new_layers(config: BertConfig, count: int) -> nn.ModuleList:
    """Layers like those of `BertModel`."""
    return nn.ModuleList(BertLayer(config) for _ in range(count))


class PrefixCache(DynamicCache):
    """Keys and values of tokens, preceded in the fusion layers by those of the photo's patches.

    Its length counts tokens only and is the same in every layer, as the library's `generate` expects.
    """

    def __init__(self) -> None:
        super().__init__()
        self.prefix: dict[int, tuple[Tensor, Tensor]] = {}  # layer -> keys and values (B, heads, P, H / heads)
        self.writing_prefix = False

    def update(self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args: Any, **kwargs: Any) -> Any:
        if self.writing_prefix:
            self.prefix[layer_idx] = key_states, value_states
            return key_states, value_states
        keys, values = super().update(key_states, value_states, layer_idx, *args, **kwargs)
        if layer_idx not in self.prefix:
            return keys, values
        before = self.prefix[layer_idx]
        return torch.cat([before[0], keys], dim=-2), torch.cat([before[1], values], dim=-2)

    def rows(self, indices: Tensor) -> PrefixCache:
        """A new cache with these rows (N,) of the prefix, and no tokens yet."""
        # index_select, as plain indexing adds gradients in any order: the same run would end with other weights
        return self.changed(lambda part: part.index_select(0, indices.to(part.device)))

    def changed(self, change: Callable[[Tensor], Tensor]) -> PrefixCache:
        """A new cache with changed keys and values (B, heads, P, H / heads) of the prefix, and no tokens yet."""
        found = PrefixCache()
        found.prefix = {layer: (change(keys), change(values)) for layer, (keys, values) in self.prefix.items()}
        return found

    def row(self, index: int) -> PrefixCache:
        """A new cache with this row of the prefix, in half precision to be kept, and no tokens yet."""
        return self.changed(lambda part: part[index : index + 1].half())

    def joined(self, others: Sequence[PrefixCache]) -> PrefixCache:
        """A new cache with the rows of this prefix and of the others, and no tokens yet."""
        found = PrefixCache()
        for layer in self.prefix:
            keys, values = zip(*(part.prefix[layer] for part in (self, *others)), strict=True)
            found.prefix[layer] = torch.cat(keys), torch.cat(values)
        return found

    @property
    def nbytes(self) -> int:
        """Bytes of the prefix."""
        return sum(part.nbytes for pair in self.prefix.values() for part in pair)

    @property
    def prefix_length(self) -> int:
        return next(iter(self.prefix.values()))[0].shape[-2] if self.prefix else 0

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep these rows (B,) of the batch, in this order; a row may come several times."""
        super().batch_select_indices(indices)
        self.prefix = {layer: (keys[indices], values[indices]) for layer, (keys, values) in self.prefix.items()}

    def reorder_cache(self, beam_idx: Any) -> None:
        super().reorder_cache(beam_idx)
        self.prefix = {
            layer: (keys.index_select(0, beam_idx), values.index_select(0, beam_idx))
            for layer, (keys, values) in self.prefix.items()
        }


class LayerRecord:
    """Hidden states and attentions of the layers that ran within `recording`; None where not requested."""

    def __init__(self, hidden_states: bool, attentions: bool) -> None:
        self.wanted = hidden_states, attentions
        self._states: list[Tensor] = []
        self._attentions: list[Tensor] = []

    def on_layer(self, _: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        self._states += [output] if self._states else [inputs[0], output]

    def on_attention(self, _: nn.Module, __: Any, output: tuple[Tensor, Tensor]) -> None:
        self._attentions.append(output[1])

    def states(self) -> tuple[Tensor, ...] | None:
        return tuple(self._states) if self.wanted[0] else None

    def attentions(self) -> tuple[Tensor, ...] | None:
        return tuple(self._attentions) if self.wanted[1] else None

    def after(self, tokens: LayerRecord, patches: LayerRecord, *last: Tensor) -> tuple[Any, Any]:
        """Hidden states and attentions of the whole stream, its lower layers having run on each side alone.

        last: the states of tokens and patches with which the stream starts. Of a side with fewer layers than the other,
        the first states are repeated, with attentions of 0.
        """
        count = max(len(side._attentions) for side in (tokens, patches))
        states, attentions = [], []
        for side, ended in zip((tokens, patches), last, strict=True):
            states.append(side._states or [ended])
            missing = count - len(side._attentions)
            if missing:
                nothing = ended.new_zeros(*self._attentions[0].shape[:2], ended.shape[1], ended.shape[1])
                side._attentions = [nothing] * missing + side._attentions
            attentions.append(side._attentions)
        longest = max(map(len, states))
        states = [[each[0]] * (longest - len(each)) + each for each in states]
        stream = (*(torch.cat(pair, dim=1) for pair in zip(*states, strict=True)), *self._states[1:])
        blocks = (*(_blocks(*pair) for pair in zip(*attentions, strict=True)), *self._attentions)
        return (stream if self.wanted[0] else None), (blocks if self.wanted[1] else None)


def _blocks(tokens: Tensor, patches: Tensor) -> Tensor:
    """(B, heads, T, T) and (B, heads, P, P) -> (B, heads, T + P, T + P), 0 between the two."""
    count = tokens.shape[-1], patches.shape[-1]
    return torch.cat([F.pad(tokens, (0, count[1])), F.pad(patches, (count[0], 0))], dim=-2)


def encode_prefix(bert: BertModel, states: Tensor, first: int) -> PrefixCache:
    """Keys and values of states (B, P, H) in the layers from ``first`` on."""
    cache = PrefixCache()
    cache.writing_prefix = True
    with _without_checkpointing(bert):
        for layer in bert.encoder.layer[first:]:
            states = layer(states, past_key_values=cache)
    cache.writing_prefix = False
    return cache


def attend_to_prefix(bert: BertModel, states: Tensor, attention_mask: Tensor, cache: PrefixCache, first: int) -> Tensor:
    """States (N, T, H) through the layers from ``first`` on, attending to each other and to the prefix of a new cache.

    attention_mask (N, T) is 0 at padding.
    """
    seen = F.pad(attention_mask, (cache.prefix_length, 0), value=1)[:, None, None]  # (N, 1, 1, P + T)
    mask = torch.zeros(seen.shape, dtype=states.dtype, device=states.device)
    mask = mask.masked_fill(seen == 0, torch.finfo(states.dtype).min)
    with _without_checkpointing(bert):
        for layer in bert.encoder.layer[first:]:
            states = layer(states, mask, past_key_values=cache)
    return states


def decode(
    bert: BertModel, input_ids: Tensor, cache: PrefixCache, fusion_layer: int, text_only: Tensor | None = None
) -> Tensor:
    """Last states (B, T, H) of tokens (B, T) that follow the cached ones; see `KaleidoBertModel.decode_step`."""
    before, length, patches = cache.get_seq_length(), input_ids.shape[1], cache.prefix_length
    states = bert.embeddings(input_ids, past_key_values_length=before)
    lowest = torch.finfo(states.dtype).min
    later = torch.ones(length, before + length, dtype=torch.bool, device=states.device).triu(before + 1)
    left = torch.zeros(later.shape, dtype=states.dtype, device=states.device)
    left = left.masked_fill(later, lowest)[None, None]  # (1, 1, T, before + T)
    both = F.pad(left, (patches, 0))  # (1, 1, T, P + before + T): patches come first and are seen by all tokens
    if text_only is not None:
        blind = (text_only.to(states.dtype) * lowest).view(-1, 1, 1, 1).expand(-1, 1, length, patches)
        both = torch.cat([blind, left.expand(blind.shape[0], -1, -1, -1)], dim=-1)
    with _without_checkpointing(bert):
        for index, layer in enumerate(bert.encoder.layer):
            states = layer(states, left if index < fusion_layer else both, past_key_values=cache)
    return states


def decode_pairs(
    bert: BertModel, input_ids: Tensor, cache: PrefixCache, texts: Tensor, photos: Tensor, fusion_layer: int
) -> Tensor:
    """Last states (N, T, H) of N pairs of a text of input_ids (B, T) and a photo of the cache, given by their rows.

    They are those of `decode`, but the layers below ``fusion_layer``, which see no photo, run once for each text.
    """
    states = bert.embeddings(input_ids)
    length, lowest = input_ids.shape[1], torch.finfo(states.dtype).min
    left = torch.full((length, length), lowest, dtype=states.dtype, device=states.device).triu(1)[None, None]
    for layer in bert.encoder.layer[:fusion_layer]:
        states = layer(states, left)
    pairs, states = cache.rows(photos), states.index_select(0, texts)
    both = F.pad(left, (pairs.prefix_length, 0))
    with _without_checkpointing(bert):
        for layer in bert.encoder.layer[fusion_layer:]:
            states = layer(states, both, past_key_values=pairs)
    return states


@contextmanager
def recording(
    bert: BertModel, hidden_states: bool, attentions: bool, others: Iterable[nn.Module] = ()
) -> Iterator[LayerRecord]:
    """Record the layers, BERT's and ``others``, that run within this block.

    Raises ``ValueError`` for attentions of fused kernels.
    """
    if attentions and bert.config._attn_implementation != "eager":
        raise ValueError("attentions need the eager implementation: call model.set_attn_implementation('eager')")
    layers: list[Any] = [*bert.encoder.layer, *others]
    record = LayerRecord(hidden_states, attentions)
    hooks = [layer.register_forward_hook(record.on_layer) for layer in layers if hidden_states]
    hooks += [layer.attention.self.register_forward_hook(record.on_attention) for layer in layers if attentions]
    try:
        yield record
    finally:
        for hook in hooks:
            hook.remove()


def has_attention(backbone_config: PretrainedConfig) -> bool:
    """Whether a backbone has attention layers, whose implementation can be set."""
    mapping: Any = AutoBackbone._model_mapping
    return bool(mapping[type(backbone_config)]._supports_sdpa)


@contextmanager
def _without_checkpointing(bert: BertModel) -> Iterator[None]:
    """Disable gradient checkpointing for layers that write to a cache, which the library would discard."""
    layers: Any = bert.encoder.layer
    before = [layer.gradient_checkpointing for layer in layers]
    try:
        for layer in layers:
            layer.gradient_checkpointing = False
        yield
    finally:
        for layer, was in zip(layers, before, strict=True):
            layer.gradient_checkpointing = was
