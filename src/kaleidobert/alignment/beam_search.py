"""Beam search over the captioner: photos in, captions with an attention map for each token out."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from kaleidobert.alignment.captioner import Captioner
from kaleidobert.errors import InputError


@dataclass(frozen=True)
class Caption:
    """Generated token ids (T,) without start and end, and their attention maps (T, h, w).

    ``evidence`` (T, h, w): see `Captioner.evidence_maps`.
    """

    token_ids: list[int]
    attentions: Tensor
    evidence: Tensor


@torch.no_grad()
def generate(captioner: Captioner, pixel_values: Tensor, beams: int = 3) -> list[Caption]:
    """For each photo (B, 3, S, S) the caption with the highest mean log probability per token.

    One beam is greedy search. Raises ``InputError`` for less than one.
    """
    if beams < 1:
        raise InputError(f"beams is {beams}; use 1 or more")
    photos, end = len(pixel_values), captioner.config.end_token_id
    annotations = captioner.annotate(pixel_values).repeat(beams)
    state, shape = captioner.initial_state(annotations), annotations.shape
    tokens = torch.full((photos * beams, 1), captioner.config.start_token_id, device=pixel_values.device)
    maps = torch.zeros(photos * beams, 0, shape[0] * shape[1], device=pixel_values.device)
    scores = torch.full((photos, beams), float("-inf"), device=pixel_values.device)
    scores[:, 0] = 0.0  # all beams are the same at first
    first = torch.arange(photos, device=pixel_values.device).unsqueeze(1) * beams
    while tokens.shape[1] < captioner.config.longest_caption:
        embedded = captioner.embedding(tokens[:, -1])
        state, context, attention = captioner.step(captioner.from_token(embedded), annotations, state)
        steps = captioner.token_logits(embedded, state.hidden, context).float().log_softmax(1)  # (B * K, V)
        ended = (tokens[:, -1] == end).unsqueeze(1)
        only_end = torch.full_like(steps, float("-inf"))
        only_end[:, end] = 0.0
        totals = scores.unsqueeze(2) + torch.where(ended, only_end, steps).unflatten(0, (photos, beams))
        scores, best = totals.flatten(1).topk(beams)  # (B, K)
        rows, chosen = (first + best // steps.shape[1]).flatten(), (best % steps.shape[1]).view(-1, 1)
        tokens, maps = torch.cat([tokens[rows], chosen], 1), torch.cat([maps, attention.unsqueeze(1)], 1)[rows]
        state = state.select(rows)
        if (tokens[:, -1] == end).all():
            break
    lengths = (tokens[:, 1:] != end).sum(1)
    winner = first.squeeze(1) + (scores / (lengths.view_as(scores) + 1)).argmax(1)
    tokens, maps, lengths = tokens[winner, 1:], maps[winner], lengths[winner]
    evidence = captioner.evidence_maps(annotations.vectors[winner], tokens)
    return [
        Caption(ids[:length].tolist(), attention[:length].unflatten(1, shape), each[:length].unflatten(1, shape))
        for ids, attention, each, length in zip(tokens, maps, evidence, lengths.tolist(), strict=True)
    ]
