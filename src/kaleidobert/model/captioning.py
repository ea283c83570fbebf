"""Captioning (patent: FC): generate a product's text from its photo.

The encoder is bidirectional; for captioning it is masked as a sequence-to-sequence model (see
`KaleidoBertModel.decode_step`): tokens follow the patches, all at once in training and one by one in `generate`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import GenerationConfig, GenerationMixin
from transformers.utils.generic import can_return_tuple

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

    def set_output_embeddings(self, value: nn.Linear) -> None:
        self.lm_head.decoder = value

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor,
        pixel_values: Tensor | None = None,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        patch_states: Tensor | None = None,
        past_key_values: PrefixCache | None = None,
        use_cache: bool | None = None,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
    ) -> KaleidoBertCaptioningOutput:
        """Logits (B, T, vocabulary) of the next token at each position of texts (B, T), given the photos.

        The photos are pixel_values (B, 3, S, S), patch_states (B, P, H) from `KaleidoBertModel.embed_patches`, or
        already in past_key_values. Texts are padded on the right. With ``labels`` (B, T), usually the token ids with
        -100 as padding, the loss is returned instead of logits: the cross-entropy of each label after the first.
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
        with encoder.recording(output_hidden_states, output_attentions) as record:
            states = encoder.decode_step(input_ids if labels is None else input_ids[:, :-1], past_key_values)
        output = KaleidoBertCaptioningOutput(hidden_states=record.states(), attentions=record.attentions())
        if labels is None:
            output.logits = self.lm_head(states).float()
            output.past_key_values = None if use_cache is False else past_key_values
            return output
        labels = labels[:, 1:]
        if attention_mask is not None:
            labels = labels.masked_fill(attention_mask[:, 1:] == 0, NO_LABEL)
        labelled = labels != NO_LABEL
        logits, tokens, shard = self.lm_head(states[labelled]).float(), labels[labelled], BatchShard.here(self.training)
        output.loss = F.cross_entropy(logits, tokens) * shard.weight(tokens)
        output.losses = {"captioning": output.loss}
        output.accuracies = {"captioning": shard.mean(logits.argmax(dim=1) == tokens)}
        return output

    @torch.no_grad()
    def generate(  # type: ignore[override]  # `inputs` are photos
        self,
        inputs: Tensor | None = None,
        generation_config: GenerationConfig | None = None,
        *,
        pixel_values: Tensor | None = None,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        **kwargs: Any,
    ) -> Any:
        """The library's `generate`, conditioned on photos (B, 3, S, S), given as ``inputs`` or as ``pixel_values``.

        ``input_ids`` (B, T) are prompts of equal lengths, by default [CLS]. Defaults, unless the model's
        generation_config says otherwise: 3 beams (1 for sampling), no repeated 3-grams, no special tokens, and at most
        as many tokens as the encoder has positions. Returns what the library returns: token ids with [CLS] and [SEP],
        or its output object. Raises ``ValueError`` for inputs that do not fit each other or the model.
        """
        photos = inputs if pixel_values is None else pixel_values
        if photos is None:
            raise ValueError("captions need photos: pass pixel_values")
        if input_ids is None:
            start = (generation_config or self.generation_config).bos_token_id
            if start is None:
                raise ValueError("no token is set to start captions: call set_special_tokens, or give input_ids")
            input_ids = torch.full((len(photos), 1), start, device=photos.device)
        self._check_prompts(photos, input_ids, attention_mask)
        if generation_config is None:
            kwargs = self._defaults(kwargs) | kwargs
        config = generation_config or self.generation_config
        longest = self.config.encoder_config.max_position_embeddings
        if (kwargs.get("max_length") or longest) > longest:
            raise ValueError(f"max_length is {kwargs['max_length']}: the encoder has {longest} positions")
        if kwargs.get("use_cache", config.use_cache) is not False:
            kwargs.setdefault("past_key_values", PrefixCache())
        kwargs["patch_states"] = self.kaleidobert.embed_patches(self.kaleidobert.patch_features(photos))
        kwargs["attention_mask"] = torch.ones_like(input_ids)
        library: Any = super()
        return library.generate(input_ids, generation_config=generation_config, **kwargs)

    def _check_prompts(self, photos: Tensor, input_ids: Tensor, attention_mask: Tensor | None) -> None:
        if len(input_ids) != len(photos):
            raise ValueError(f"{len(photos)} photos and {len(input_ids)} prompts: give one prompt for each photo")
        if attention_mask is not None and not attention_mask.all():
            raise ValueError("prompts are padded: generate captions for prompts of equal lengths")

    def _defaults(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        """Generation settings for those that neither the caller nor the model's generation_config sets."""
        settings = self.generation_config
        defaults = {name: value for name, value in GENERATION.items() if getattr(settings, name) is None}
        if kwargs.get("do_sample", settings.do_sample) and "num_beams" in defaults:
            defaults["num_beams"] = 1
        if "max_new_tokens" not in kwargs and settings.max_new_tokens is None and settings.max_length is None:
            defaults["max_length"] = self.config.encoder_config.max_position_embeddings
        return defaults

    def set_special_tokens(self, start: int, end: int, pad: int, suppressed: list[int]) -> None:
        """Set the ids that start, end and pad captions, and those never generated; saved with the model."""
        self.generation_config = GenerationConfig(
            bos_token_id=start, eos_token_id=end, pad_token_id=pad, suppress_tokens=suppressed or None
        )
