"""Captioning (SEED: FC): generate a product's text from its photo.

The encoder is bidirectional; for captioning it is masked as a sequence-to-sequence model (see
`KaleidoBertModel.decode_step`): tokens follow the patches, all at once in training and one by one in `generate`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import GenerationConfig, GenerationMixin

from kaleidobert.model.classification import KaleidoBertForClassification
from kaleidobert.model.configuration import KaleidoBertConfig
from kaleidobert.model.distributed import BatchShard
from kaleidobert.model.encoder import KaleidoBertModel, KaleidoBertPreTrainedModel
from kaleidobert.model.heads import MaskedTokenHead
from kaleidobert.model.layers import PrefixCache
from kaleidobert.model.losses import NO_LABEL
from kaleidobert.model.outputs import KaleidoBertCaptioningOutput

GENERATION = {"num_beams": 3, "no_repeat_ngram_size": 3, "min_new_tokens": 1}


class KaleidoBertForCaptioning(KaleidoBertPreTrainedModel, GenerationMixin):
    """The encoder with the language-modelling head of pre-training, predicting the next token.

    ``generate(pixel_values, ...)`` takes the arguments of the library's `generate` and returns token ids.
    """

    main_input_name = "input_ids"  # what the library generates
    _tied_weights_keys = {"lm_head.decoder.weight": "kaleidobert.bert.embeddings.word_embeddings.weight"}
    _keys_to_ignore_on_load_unexpected = [
        *(key for key in KaleidoBertForClassification._keys_to_ignore_on_load_unexpected if "lm_head" not in key),
        r"^classifier\.",
    ]

    def __init__(self, config: KaleidoBertConfig) -> None:
        super().__init__(config)
        self.kaleidobert = KaleidoBertModel(config)
        self.lm_head = MaskedTokenHead(config.encoder_config)
        self.post_init()

    def get_output_embeddings(self) -> nn.Linear:
        return self.lm_head.decoder

    def forward(
        self,
        input_ids: Tensor,
        pixel_values: Tensor | None = None,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        patch_states: Tensor | None = None,
        past_key_values: PrefixCache | None = None,
        **_: Any,
    ) -> KaleidoBertCaptioningOutput:
        """Logits (B, T, vocabulary) of the next token at each position of texts (B, T), given the photos.

        The photos are pixel_values (B, 3, S, S), patch_states (B, P, H) from `KaleidoBertModel.embed_patches`, or
        already in past_key_values. With ``labels`` (B, T), the token ids with -100 as padding, the loss is the cross-
        entropy of each token after the first, [SEP] included.
        """
        encoder = self.kaleidobert
        if past_key_values is None or not past_key_values.prefix:
            if patch_states is None:
                if pixel_values is None:
                    raise ValueError("captioning needs pixel_values or patch_states")
                patch_states = encoder.embed_patches(encoder.patch_features(pixel_values))
            prefix = encoder.encode_prefix(patch_states)
            if past_key_values is None:
                past_key_values = prefix
            else:
                past_key_values.prefix = prefix.prefix
        if labels is None:
            states = encoder.decode_step(input_ids, past_key_values)
            return KaleidoBertCaptioningOutput(logits=self.lm_head(states).float(), past_key_values=past_key_values)
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        states, tokens = encoder.decode_texts(input_ids, mask, past_key_values)
        logits, shard = self.lm_head(states).float(), BatchShard.here(self.training)
        loss = F.cross_entropy(logits, tokens, ignore_index=NO_LABEL) * shard.weight(tokens)
        accuracy = shard.mean(logits.argmax(dim=1) == tokens)
        return KaleidoBertCaptioningOutput(loss, losses={"captioning": loss}, accuracies={"captioning": accuracy})

    @torch.no_grad()
    def generate(  # type: ignore[override]  # the library's, with photos in place of its `inputs`
        self,
        pixel_values: Tensor,
        generation_config: GenerationConfig | None = None,
        input_ids: Tensor | None = None,
        **kwargs: Any,
    ) -> Any:
        """The library's `generate`, conditioned on photos (B, 3, S, S).

        ``input_ids`` (B, T) are prompts, by default [CLS]. Defaults: 3 beams, no repeated 3-grams, no special tokens,
        and at most as many tokens as the encoder has positions. Returns what the library returns: token ids with [CLS]
        and [SEP], or its output object. Raises ``ValueError`` without a start token.
        """
        patches = self.kaleidobert.embed_patches(self.kaleidobert.patch_features(pixel_values))
        if input_ids is None:
            start = self.generation_config.bos_token_id
            if start is None:
                raise ValueError("no token is set to start captions: call set_special_tokens, or give input_ids")
            input_ids = torch.full((len(pixel_values), 1), start, device=pixel_values.device)
        if generation_config is None:
            longest = self.config.encoder_config.max_position_embeddings
            kwargs = {**GENERATION, "max_length": longest, **kwargs}
            if "max_new_tokens" in kwargs:
                del kwargs["max_length"]
        kwargs.setdefault("past_key_values", PrefixCache())
        kwargs |= {"patch_states": patches, "attention_mask": torch.ones_like(input_ids)}
        library: Any = super()
        return library.generate(input_ids, generation_config=generation_config, **kwargs)

    def set_special_tokens(self, start: int, end: int, pad: int, suppressed: list[int]) -> None:
        """Set the ids that start, end and pad captions, and those never generated; saved with the model."""
        self.generation_config = GenerationConfig(
            bos_token_id=start, eos_token_id=end, pad_token_id=pad, suppress_tokens=suppressed or None
        )
