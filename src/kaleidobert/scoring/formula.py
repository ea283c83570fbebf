"""The ranking formula, the same for numpy arrays and for tensors, and so for every `PairScorer`."""

from __future__ import annotations

from functools import reduce
from operator import add
from typing import Any, NamedTuple, cast

from kaleidobert.scoring.protocol import Scores
from kaleidobert.scoring.ranking import RankingWeights


class JointTerms(NamedTuple):
    """The terms of joint scores, (N,) each, None where one was not computed; all but the ITM logit in nats.

    log_likelihood: log p(text | photo); log_prior: log p(text); neighbour_pmi: see `layout_memory`.
    """

    itm: Any
    log_likelihood: Any
    log_prior: Any
    neighbour_pmi: Any


def similarity(weights: RankingWeights, cosine: Scores, hubness: Scores) -> Scores:
    """The score of embeddings alone: the cosine less ``hubness_weight`` times the hubness of photo and text."""
    return cast(Scores, cosine - weights.hubness_weight * hubness)


def combine(weights: RankingWeights, scale: float, similarity: Scores, joint: Scores, direction: str = "TIR") -> Scores:
    """The ranking formula: similarity / temperature + joint_weight * joint score.

    ``scale``: 1 / temperature. ``direction``: TIR, photos for a text, or ITR, texts for a photo; each has its own
    weight.
    """
    return cast(Scores, scale * similarity + weights.joint_weight[direction] * joint)


def joint_score(weights: RankingWeights, terms: JointTerms) -> Any:
    """The joint score (N,), the one place of its formula:

        itm_weight * ITM logit + lm_weight * (log p(text | photo) - prior_weight * log p(text))
            + neighbour_pmi_weight * neighbour-text PMI

    Without the prior, frequent texts would match every photo (with a weight of 1 the second term is the pointwise
    mutual information of VisualGPTScore: Lin et al., ICML 2024). With a memory, the texts of photos with a similar
    layout contribute ``neighbour_word_weight`` of p(text | photo).
    """
    parts = [(weights.itm_weight, terms.itm), (weights.lm_weight, log_likelihood_ratio(weights, terms))]
    parts.append((weights.neighbour_pmi_weight, terms.neighbour_pmi))
    return reduce(add, [weight * term for weight, term in parts if weight and term is not None])


def log_likelihood_ratio(weights: RankingWeights, terms: JointTerms) -> Any:
    """The LM's term of the joint score; None where it was not computed."""
    if terms.log_likelihood is None or terms.log_prior is None:
        return None
    return terms.log_likelihood - weights.prior_weight * terms.log_prior
