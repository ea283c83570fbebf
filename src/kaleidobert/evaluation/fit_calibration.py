"""Fit match probabilities to validation data.

Catalogues have no relevance labels for queries, so the products' texts serve as labels. A query consists of some words
of a validation product's title, or, for a quarter of the queries, of words of two products, which few products match.
A product matches if its text holds all words of the query. The logistic functions are fitted to the best-ranked
validation products of each query and to some random ones. Two photos match if their products' texts share half of
their words.

How much the words of title and description count is fitted to short queries made of the products' facts, such as
"black flats": a product matches if it has these facts in its labels and attributes. Labels and attributes are left out
of the words there, as they would prove themselves.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kaleidobert.alignment.matching import content_words
from kaleidobert.data.short_queries import short_query
from kaleidobert.errors import InputError
from kaleidobert.evaluation.metrics.reliability import best_threshold, calibration_error, fit_logistic, reliability
from kaleidobert.evaluation.pair_scores import EncodedProducts, pair_scores
from kaleidobert.evaluation.protocols import choose_queries
from kaleidobert.scoring.calibration import WORDS_WEIGHT, Calibration
from kaleidobert.scoring.protocol import TextBatch
from kaleidobert.scoring.scorer import KaleidoBertScorer
from kaleidobert.training.dataset import PreparedDataset
from kaleidobert.words import Lexicon, index_words

QUERIES, PRODUCTS = 1000, 4000  # at most
SHORT_QUERIES = 300  # at most; each takes as long as a query of title words
BEST, OTHERS = 20, 10  # pairs per query: best-ranked ones, as many as a search re-ranks, and random products
MIXED = 0.25  # share of queries with words of two products
SHARED = 0.5  # Dice coefficient of two products' words from which on their photos match
FREQUENT, MAX_WORDS = 5, 3000  # products that hold a frequent word, at least; number of such words, at most


@dataclass(frozen=True)
class Pairs:
    """M labelled pairs: query (M,) indices; features (M, F), the score first; outcomes (M,) bool, the matches."""

    query: np.ndarray
    features: np.ndarray
    outcomes: np.ndarray


def fit_calibration(
    scorer: KaleidoBertScorer, validation: PreparedDataset, encoded: EncodedProducts, seed: int = 0
) -> tuple[Calibration, dict[str, Any]]:
    """The match probabilities of a scorer with fitted weights, and figures; ``encoded``: the validation products.

    Figures: ECE on a held-out half of the queries, reliability, and the accuracy of ``weak``. Raises ``InputError``
    where the products are too few or too similar to have both matches and mismatches.
    """
    dataset = validation.head(PRODUCTS)
    encoded = encoded.head(len(dataset))
    probabilities, unknown = word_visibility(scorer, dataset, encoded)
    fitted: dict[str, Any] = {"words": probabilities, "unknown": unknown}
    features = Calibration(vectors=(), photo=(), weak=0.0, **fitted).features
    kinds, answerable = labelled_pairs(scorer, dataset, encoded, features, seed)
    figures: dict[str, Any] = {"products": len(dataset), "queries": len(answerable)}
    asked = {name: kinds.pop(name) for name in list(kinds) if name.endswith("_asked")}
    for kind, pairs in kinds.items():
        if pairs.outcomes.all() or not pairs.outcomes.any():
            raise InputError(
                f"{len(dataset)} validation products are too few or too similar to fit match probabilities"
            )
        held_out = pairs.query % 2 == 1
        trial = fit_logistic(pairs.features[~held_out], pairs.outcomes[~held_out])
        predicted = _probabilities(pairs.features[held_out], trial)
        outcomes = pairs.outcomes[held_out]
        figures[kind] = {
            "ECE": calibration_error(predicted, outcomes),
            "reliability": [each._asdict() for each in reliability(predicted, outcomes)],
        }
        fitted[kind] = fit_logistic(pairs.features, pairs.outcomes)
    if "vectors_words" not in kinds:
        fitted |= {f"{kind}_words": _with_words(fitted[kind]) for kind in ("vectors", "combined") if kind in kinds}
    name = "combined" if "combined" in kinds else "vectors"
    best = _best(kinds[name], fitted[name], len(answerable))
    fitted["weak"], figures["answerable_accuracy"] = best_threshold(best, answerable)
    best = _best(asked[f"{name}_asked"], fitted[f"{name}_words"], len(answerable))
    fitted["weak_words"], figures["answerable_accuracy_words"] = best_threshold(best, answerable)
    calibration = Calibration.of(fitted, scorer.scale)
    return calibration, figures | {"weak": calibration.weak}


def _best(pairs: Pairs, weights: list[float], queries: int) -> np.ndarray:
    """The probability of each query's best product (Q,)."""
    best = np.zeros(queries)
    np.maximum.at(best, pairs.query, _probabilities(pairs.features, weights))
    return best


def _with_words(weights: Sequence[float]) -> list[float]:
    """Logistic weights with a fixed one of the product's words, for a catalogue without facts to fit it to."""
    slope, *others, offset = weights
    return [slope, WORDS_WEIGHT, *others, offset - WORDS_WEIGHT / 2]


def _probabilities(features: np.ndarray, weights: list[float]) -> np.ndarray:
    return 1 / (1 + np.exp(-(features @ np.array(weights[:-1]) + weights[-1])))


@torch.inference_mode()
def labelled_pairs(
    scorer: KaleidoBertScorer,
    dataset: PreparedDataset,
    encoded: EncodedProducts,
    features: Callable[[Sequence[str]], tuple[float, ...]],
    seed: int = 0,
) -> tuple[dict[str, Pairs], np.ndarray]:
    """Pairs of each score, and whether each query has a match (Q,) bool.

    Scores: "vectors", "photo", and "combined" where the joint model has a weight; "vectors_words" and "combined_words"
    with the share of the query's words that a product has, where the catalogue's facts give queries with matches and
    mismatches; "vectors_asked" and "combined_asked" with the same share for the first two's queries. ``features``: see
    `Calibration.features`.
    """
    rng = np.random.default_rng([seed, 7])
    words = words_of(dataset.texts)
    queries = make_queries(dataset.titles, QUERIES, rng)
    matches: np.ndarray = np.array(
        [[set(query.lower().split()) <= each for each in words] for query in queries]
    )  # (Q, N)
    images = _enhanced(scorer, encoded)  # (N, V)
    texts, similarity = _similarity(scorer, queries, images)
    chosen = _choose(similarity, rng)  # (Q, C)
    shares = _shares(dataset, queries)
    with_shares = _pairs(scorer, encoded, queries, (texts, similarity, chosen), matches, features, shares)
    found = {
        name: Pairs(pairs.query, np.delete(pairs.features, 1, axis=1), pairs.outcomes)
        for name, pairs in with_shares.items()
    }
    found |= {f"{name}_asked": pairs for name, pairs in with_shares.items()}
    found |= _word_pairs(scorer, dataset, encoded, images, features, rng)
    return found | {"photo": _photo_pairs(scorer, images, words, rng)}, np.array([row.any() for row in matches])


def _pairs(
    scorer: KaleidoBertScorer,
    encoded: EncodedProducts,
    queries: Sequence[str],
    retrieved: tuple[TextBatch, Tensor, Tensor],
    matches: np.ndarray,
    features: Callable[[Sequence[str]], tuple[float, ...]],
    shares: np.ndarray | None = None,
) -> dict[str, Pairs]:
    """Labelled pairs of the queries and those of N products that were ``retrieved``, by score.

    retrieved: texts, similarity (Q, N), and the chosen products (Q, C). matches (Q, N) bool. shares (Q, N): of the
    queries' words that products have.
    """
    texts, similarity, chosen = retrieved
    picked = similarity.cpu().gather(1, chosen)
    scores = {"vectors": scorer.scale * picked}
    if scorer.weights.joint_weight["TIR"]:
        scores["combined"] = scorer.combine(picked, _joint(scorer, texts, encoded, chosen))
    query = np.arange(len(queries)).repeat(chosen.shape[1])
    outcomes = np.take_along_axis(matches, chosen.numpy(), axis=1).flatten()
    words = [[word.text for word in content_words(text)] for text in queries]
    known = [np.array([features(each) for each in words])[query]]
    if shares is not None:
        known.insert(0, np.take_along_axis(shares, chosen.numpy(), axis=1).flatten())
    return {
        name: Pairs(query, np.column_stack([score.float().numpy().flatten(), *known]), outcomes)
        for name, score in scores.items()
    }


def _word_pairs(
    scorer: KaleidoBertScorer,
    dataset: PreparedDataset,
    encoded: EncodedProducts,
    images: Tensor,
    features: Callable[[Sequence[str]], tuple[float, ...]],
    rng: np.random.Generator,
) -> dict[str, Pairs]:
    """Pairs of short queries made of facts, with the share of their words in title and description."""
    facts = dataset.facts()
    asked = {}  # query -> the codes of the facts that it names
    for row in choose_queries(len(dataset), SHORT_QUERIES, int(rng.integers(2**31))):
        if query := short_query(facts.product(row), rng):
            asked[query.text] = facts.asked(row, query.facts)
    if not asked:
        return {}
    matches = np.stack([facts.fitting(codes) for codes in asked.values()])
    queries = list(asked)
    shares = _shares(dataset, queries)
    texts, similarity = _similarity(scorer, queries, images)
    worded = torch.from_numpy(shares + 1e-3 * rng.random(shares.shape, dtype=np.float32))  # ties at random
    best = worded.topk(min(OTHERS, len(dataset)), dim=1).indices
    chosen = torch.cat([_choose(similarity, rng), best], dim=1)
    found = _pairs(scorer, encoded, queries, (texts, similarity, chosen), matches, features, shares)
    halves = [found["vectors"].outcomes[found["vectors"].query % 2 == half] for half in (0, 1)]
    if not all(len(half) and half.any() and not half.all() for half in halves):
        return {}
    return {f"{name}_words": pairs for name, pairs in found.items()}


def _shares(dataset: PreparedDataset, queries: Sequence[str]) -> np.ndarray:
    """The share (Q, N) of each query's words that each product has in title and description."""
    owned = [index_words(text) for text in dataset.texts]
    lexicon = Lexicon(owned)
    return np.array([[terms.share(own) for own in owned] for terms in map(lexicon.terms, queries)], np.float32)


@torch.inference_mode()
def word_visibility(
    scorer: KaleidoBertScorer, dataset: PreparedDataset, encoded: EncodedProducts
) -> tuple[dict[str, float], float]:
    """The R-precision of each frequent word as a query; and, for rarer words, half the mean of the rarest of those."""
    words = words_of(dataset.texts)
    counts = Counter(word for own in words for word in sorted(own))  # in the same order in every process
    frequent = [word for word, count in counts.most_common(MAX_WORDS) if count >= FREQUENT]
    if not frequent:
        raise InputError(
            f"no word is in {FREQUENT} of the {len(dataset)} validation products: too few to fit match probabilities"
        )
    similarity = _similarity(scorer, frequent, _enhanced(scorer, encoded))[1]
    visible = {}
    for word, row in zip(frequent, similarity, strict=True):
        nearest = row.topk(counts[word]).indices.tolist()
        visible[word] = round((sum(word in words[place] for place in nearest) + 0.5) / (counts[word] + 1), 3)
    rarest = [visible[word] for word in frequent if counts[word] < 2 * FREQUENT] or [min(visible.values())]
    return visible, float(np.mean(rarest)) / 2


def words_of(texts: Sequence[str]) -> list[set[str]]:
    """The content words of each text, in lower case."""
    return [{word.text.lower() for word in content_words(text)} for text in texts]


def _enhanced(scorer: KaleidoBertScorer, encoded: EncodedProducts) -> Tensor:
    return scorer.enhance_images(encoded.images.to(scorer.device), encoded.own.to(scorer.device))


def _similarity(scorer: KaleidoBertScorer, texts: Sequence[str], images: Tensor) -> tuple[TextBatch, Tensor]:
    """The encoded texts, and their similarity with images (Q, N)."""
    batch = scorer.encode_texts(texts)
    hubness = batch.hubness[:, None] + scorer.image_hubness(images)[None, :]
    return batch, scorer.similarity(batch.embeds @ images.T, hubness)


def make_queries(titles: list[str], count: int, rng: np.random.Generator) -> list[str]:
    """Queries of content words of one title, in their order, or of two titles."""
    words = [[word.text for word in content_words(title)] for title in titles]
    words = [each for each in words if each]
    if len(words) < 2:
        raise InputError("fewer than two validation titles have words to make queries of: fit on a split with titles")
    queries = []
    for index in choose_queries(len(words), count, int(rng.integers(2**31))):
        chosen = _sample(words[index], rng)
        if rng.random() < MIXED:
            chosen = _sample(chosen, rng) + _sample(words[int(rng.integers(len(words)))], rng)
        queries.append(" ".join(dict.fromkeys(chosen)))
    return queries


def _sample(words: list[str], rng: np.random.Generator) -> list[str]:
    count = int(rng.integers(1, len(words) + 1))
    return [words[place] for place in sorted(rng.choice(len(words), count, replace=False))]


def _choose(similarity: Tensor, rng: np.random.Generator) -> Tensor:
    """Columns (Q, C) of similarity (Q, N): the best of each row, and random ones."""
    rows, columns = similarity.shape
    best = similarity.topk(min(BEST, columns), dim=1).indices.cpu()
    return torch.cat([best, torch.from_numpy(rng.integers(columns, size=(rows, OTHERS)))], dim=1)


def _joint(scorer: KaleidoBertScorer, texts: TextBatch, encoded: EncodedProducts, chosen: Tensor) -> Tensor:
    """Joint scores (Q, C)."""
    query = torch.arange(len(chosen)).repeat_interleave(chosen.shape[1])
    queries = encoded.asking(scorer, texts)
    return pair_scores(scorer, queries, query, chosen.flatten(), "calibration").view(chosen.shape)


def _photo_pairs(scorer: KaleidoBertScorer, images: Tensor, words: list[set[str]], rng: np.random.Generator) -> Pairs:
    queries = torch.from_numpy(choose_queries(len(words), QUERIES, int(rng.integers(2**31))))
    cosine = (images[queries.to(images.device)] @ images.T).float()  # (Q, N)
    cosine[torch.arange(len(queries)), queries] = -1  # a photo is nearest to itself
    chosen = _choose(cosine, rng)
    outcomes = [
        2 * len(words[i] & words[j]) >= SHARED * (len(words[i]) + len(words[j]))
        for i, row in zip(queries.tolist(), chosen.tolist(), strict=True)
        for j in row
    ]
    kept = (chosen != queries[:, None]).flatten().numpy()
    scaled = (scorer.scale * cosine).cpu().gather(1, chosen).flatten().numpy()
    query = np.arange(len(queries)).repeat(chosen.shape[1])
    return Pairs(query[kept], scaled[kept, None], np.array(outcomes)[kept])
