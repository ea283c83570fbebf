"""Image-text retrieval: embeddings to find candidates, the single stream to re-rank them (patent: FIG. 1, ITR, TIR)."""

from __future__ import annotations

import torch
from torch import Tensor
from transformers.utils.generic import can_return_tuple

from kaleidobert.model.candidates import ListInputs, fitting_pairs, itm_negatives
from kaleidobert.model.configuration import KaleidoBertConfig
from kaleidobert.model.distributed import BatchShard
from kaleidobert.model.losses import NEAREST, RANDOM, contrastive_loss
from kaleidobert.model.objectives import Objectives
from kaleidobert.model.outputs import KaleidoBertRetrievalOutput
from kaleidobert.model.pair_model import KaleidoBertPairModel, query_inputs


class KaleidoBertForRetrieval(KaleidoBertPairModel):
    """Embeds photos and texts, and scores pairs. Loads pre-training runs and fine-tuned ones.

    `kaleidobert.KaleidoBertScorer` ranks with it as the search application does.
    """

    _keys_to_ignore_on_load_unexpected = [r"^pretext_heads\.", r"^negatives$", r"^match_accuracy$"]

    def __init__(self, config: KaleidoBertConfig, objectives: Objectives | None = None) -> None:
        super().__init__(config, objectives)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        pixel_values: Tensor,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        text_group: Tensor | None = None,
        negative_draws: Tensor | None = None,
        text_only: Tensor | None = None,
        visible_patches: Tensor | None = None,
        query_ids: Tensor | None = None,
        query_mask: Tensor | None = None,
        facts: Tensor | None = None,
        asked: Tensor | None = None,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
    ) -> KaleidoBertRetrievalOutput:
        """Embeddings of photos (B, 3, S, S) and texts (B, T), their scaled cosines, and ITM logits of each row's pair.

        With text_group (B,), negative_draws (2, n) and text_only, as the collator makes them, it returns losses:
        contrastive on the whole batch, ITM on its first n products, with the nearest negatives by embeddings unless the
        objectives keep them random, listwise ITM and PMI, and LM on the whole batch, with text_only (B,). Of
        the photos, only visible_patches (B, K) are used, if given; embeddings use query_ids and query_mask (B, Q), if
        given, LM always the whole texts; facts and asked (B, F): see `losses.also_fitting`. hidden_states and
        attentions, on request, are those of the fusion layers on each row's pair; with ``itm_prefix``, of its tokens.
        """
        if attention_mask is None:
            attention_mask = torch.ones_like(input_ids)
        if text_group is None:
            return self._scores(pixel_values, input_ids, attention_mask, output_hidden_states, output_attentions)
        encoder, weight, shard = self.kaleidobert, self.objectives.weight, BatchShard.here(self.training)
        losses: dict[str, Tensor] = {}
        accuracies: dict[str, Tensor] = {}
        draws, tokens, similarity, listed = negative_draws, None, None, None
        also_fit = fitting_pairs(text_group, facts, asked, shard)
        if draws is not None and draws.shape[1] * shard.processes < 2:
            draws = None
        grade = RANDOM if self.objectives.hard_negatives_from >= 1 else NEAREST
        query_ids, query_mask = query_inputs(input_ids, attention_mask, query_ids, query_mask)
        if weight("contrastive") or self.ranks_lists or (weight("ITM") and grade == NEAREST):
            image = encoder.encode_image(pixel_values, visible_patches)
            text = encoder.encode_text(query_ids, query_mask)
            images, texts = shard.gather(image.image_embeds), shard.gather(text.text_embeds)
            patch_states, tokens = image.patch_states, (text.token_states, query_mask)
            similarity = self.scale() * images @ texts.T
            if weight("contrastive"):
                losses["contrastive"] = contrastive_loss(images, texts, self.scale(), also_fit)
            listed = ListInputs(*tokens, similarity, also_fit, fitting_pairs(text_group, None, None, shard))
        else:
            patch_states = encoder.embed_patches(encoder.patch_features(pixel_values), visible_patches)
            if weight("ITM"):
                tokens = encoder.embed_tokens(query_ids, query_mask), query_mask
        if draws is not None and tokens is not None and weight("ITM") and not self.lists_itm:
            patches = shard.gather(patch_states[: draws.shape[1]])
            negatives = itm_negatives(similarity, also_fit, draws, len(patches), grade, shard=shard)
            states, mask = map(shard.gather, tokens)
            matched = self.match(states, mask, patches, negatives, shard)
            losses["ITM"], accuracies["ITM"] = matched.loss, matched.accuracy
        listed = listed if draws is not None and self.ranks_lists else None
        if listed or (text_only is not None and weight("LM")):
            found = self.prefix_losses(input_ids, attention_mask, patch_states, text_only, listed, shard)
            losses, accuracies = losses | found[0], accuracies | found[1]
        return KaleidoBertRetrievalOutput(loss=self.objectives.total(losses), losses=losses, accuracies=accuracies)

    def _scores(
        self,
        pixel_values: Tensor,
        input_ids: Tensor,
        attention_mask: Tensor,
        output_hidden_states: bool | None,
        output_attentions: bool | None,
    ) -> KaleidoBertRetrievalOutput:
        quiet: dict[str, bool] = {"output_hidden_states": False, "output_attentions": False, "return_dict": True}
        image = self.get_image_features(pixel_values, **quiet)
        text = self.get_text_features(input_ids, attention_mask, **quiet)
        logits = self.scale() * text.text_embeds @ image.image_embeds.T
        encoder = self.kaleidobert
        cache = encoder.encode_prefix(image.patch_states) if self.config.itm_prefix else None
        with encoder.recording(output_hidden_states, output_attentions) as record:
            if cache is None:
                pair = encoder.encode_pair(text.token_states, attention_mask, image.patch_states)
            else:
                pair = encoder.encode_text_with_prefix(text.token_states, attention_mask, cache)
        return KaleidoBertRetrievalOutput(
            logits_per_image=logits.T,
            logits_per_text=logits,
            itm_logits=self.itm_head(pair.pooler_output).float(),
            image_embeds=image.image_embeds,
            text_embeds=text.text_embeds,
            hidden_states=record.states(),
            attentions=record.attentions(),
        )
