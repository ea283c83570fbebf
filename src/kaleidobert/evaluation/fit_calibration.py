"""Fit match probabilities on validation data, so that a shopper can be told how well a product matches.

What is a match? Nobody labels a catalogue's products for queries, but their own texts say what they are. Queries are
made of some words of a validation product's title, and a quarter of them of two products' words, which mostly fit none;
a product matches when its text has all the words of the query. Each query ranks the validation products, and the best
of them (what a shopper sees), with some at random, are the pairs that the logistic functions are fitted to. A photo
matches a photo when the products' texts share half of their words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kaleidobert.alignment.matching import content_words
from kaleidobert.errors import InputError
from kaleidobert.evaluation.metrics.reliability import best_threshold, calibration_error, fit_logistic, reliability
from kaleidobert.evaluation.protocols import choose_queries
from kaleidobert.evaluation.retrieval import Encoded, autocast, encode, pair_scores
from kaleidobert.model import KaleidoBertConfig, KaleidoBertForRetrieval, KaleidoBertProcessor, load_run
from kaleidobert.scoring.calibration import Calibration
from kaleidobert.training.dataset import PreparedDataset, prepare

QUERIES, PRODUCTS = 1000, 4000  # at most
BEST, OTHERS = 30, 10  # pairs of each query: of its ranking, and at random
MIXED = 0.25  # of the queries: words of two products
SHARED = 0.5  # of two products' words (Dice): their photos match
FREQUENT, MOST_WORDS = 5, 3000  # products that a word is in, to be known; words known


@dataclass(frozen=True)
class Pairs:
    """M judged pairs. query (M,): whose they are. features (M, F), the score first. outcomes (M,) bool."""

    query: np.ndarray
    features: np.ndarray
    outcomes: np.ndarray


def calibrate(
    data: str | Path, run: Path, split: str = "validation", columns: Mapping[str, str] | None = None, seed: int = 0
) -> dict[str, Any]:
    """Fit a finished run's match probabilities on one split and keep them in its config; returns the figures."""
    _, processor = load_run(run)
    return fit_calibration(run, prepare(data, split, processor.image_processor, columns), seed)


def fit_calibration(run: Path, validation: PreparedDataset, seed: int = 0) -> dict[str, Any]:
    """As `calibrate`, on prepared products. Figures: ECE on the half of the queries that was not fitted to, and more.

    Raises ``InputError`` where the products are too few or too much alike to tell a match from none.
    """
    model, processor = load_run(run)
    catalogue = validation.head(PRODUCTS)
    encoded = encode(model, processor, catalogue)
    seen = visible_words(model, processor, catalogue, encoded)
    fitted: dict[str, Any] = {"words": seen[0], "unknown": seen[1]}
    features = Calibration(vectors=(), photo=(), weak=0.0, **fitted).features
    kinds, answerable = judged_pairs(model, processor, catalogue, encoded, features, seed)
    figures: dict[str, Any] = {"products": len(catalogue), "queries": len(answerable)}
    for kind, pairs in kinds.items():
        if pairs.outcomes.all() or not pairs.outcomes.any():
            raise InputError(f"{len(catalogue)} validation products are too few or too alike to calibrate matches on")
        held_out = pairs.query % 2 == 1
        trial = fit_logistic(pairs.features[~held_out], pairs.outcomes[~held_out])
        probabilities = _probabilities(pairs.features[held_out], trial)
        outcomes = pairs.outcomes[held_out]
        figures[kind] = {
            "ECE": calibration_error(probabilities, outcomes),
            "reliability": [each._asdict() for each in reliability(probabilities, outcomes)],
        }
        fitted[kind] = fit_logistic(pairs.features, pairs.outcomes)
    name = "combined" if "combined" in kinds else "vectors"
    best = np.zeros(len(answerable))
    np.maximum.at(best, kinds[name].query, _probabilities(kinds[name].features, fitted[name]))
    fitted["weak"], figures["answerable_accuracy"] = best_threshold(best, answerable)
    calibration = Calibration.of(fitted, str(run))
    config = KaleidoBertConfig.from_pretrained(run)
    config.calibration = calibration.as_dict()
    config.save_pretrained(run)
    return figures | {"calibration": config.calibration}


def _probabilities(features: np.ndarray, weights: list[float]) -> np.ndarray:
    return 1 / (1 + np.exp(-(features @ np.array(weights[:-1]) + weights[-1])))


@torch.inference_mode()
def judged_pairs(
    model: KaleidoBertForRetrieval,
    processor: KaleidoBertProcessor,
    catalogue: PreparedDataset,
    encoded: Encoded,
    features: Callable[[Sequence[str]], tuple[float, ...]],
    seed: int = 0,
) -> tuple[dict[str, Pairs], np.ndarray]:
    """Pairs by score ("vectors", "photo", and "combined" where the joint model weighs), and (Q,) which queries have
    a product with all their words. ``features``: of a text's words (see `Calibration.features`)."""
    rng = np.random.default_rng([seed, 7])
    words = words_of(catalogue.texts)
    queries = make_queries(catalogue.titles, QUERIES, rng)
    matches: np.ndarray = np.array(
        [[set(query.lower().split()) <= each for each in words] for query in queries]
    )  # (Q, N)
    images = model.enhance_images(encoded.images.to(model.device))  # (N, V)
    ids, mask, similarity = _similarity(model, processor, queries, images)
    chosen = _chosen(similarity, rng)  # (Q, C)
    scores = {"vectors": (model.scale() * similarity).cpu().gather(1, chosen)}
    if model.config.joint_weight:
        joint = _joint(model, ids, mask, encoded.patches, chosen)
        picked = similarity.cpu().gather(1, chosen)
        scores["combined"] = model.combined_scores(picked.to(model.device), joint.to(model.device)).cpu()
    asked = np.arange(len(queries)).repeat(chosen.shape[1])
    outcomes = np.take_along_axis(matches, chosen.numpy(), axis=1).flatten()
    known = np.array([features(query.split()) for query in queries])[asked]
    pairs = {
        name: Pairs(asked, np.column_stack([score.float().numpy().flatten(), known]), outcomes)
        for name, score in scores.items()
    }
    return pairs | {"photo": _photo_pairs(model, images, words, rng)}, np.array([row.any() for row in matches])


@torch.inference_mode()
def visible_words(
    model: KaleidoBertForRetrieval, processor: KaleidoBertProcessor, catalogue: PreparedDataset, encoded: Encoded
) -> tuple[dict[str, float], float]:
    """R-precision of each frequent word as a query, and half of that of the rarest of them, for words rarer still."""
    words = words_of(catalogue.texts)
    counts = Counter(word for own in words for word in own)
    frequent = [word for word, count in counts.most_common(MOST_WORDS) if count >= FREQUENT]
    if not frequent:
        raise InputError(
            f"no word is in {FREQUENT} of the {len(catalogue)} validation products: too few to calibrate on"
        )
    similarity = _similarity(model, processor, frequent, model.enhance_images(encoded.images.to(model.device)))[2]
    seen = {}
    for word, row in zip(frequent, similarity, strict=True):
        nearest = row.topk(counts[word]).indices.tolist()
        seen[word] = round((sum(word in words[place] for place in nearest) + 0.5) / (counts[word] + 1), 3)
    rarest = [seen[word] for word in frequent if counts[word] < 2 * FREQUENT] or [min(seen.values())]
    return seen, float(np.mean(rarest)) / 2


def words_of(texts: Sequence[str]) -> list[set[str]]:
    """The content words of each text, in lower case."""
    return [{word.text.lower() for word in content_words(text)} for text in texts]


def _similarity(
    model: KaleidoBertForRetrieval, processor: KaleidoBertProcessor, texts: Sequence[str], images: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The texts' token ids, their mask, and what vectors rank by (Q, N)."""
    inputs = {name: value.to(model.device) for name, value in processor(text=list(texts)).items()}
    text = model.encode_text(inputs["input_ids"], inputs["attention_mask"])
    hubness = model.text_hubness(text.vectors)[:, None] + model.image_hubness(images)[None, :]
    return inputs["input_ids"], inputs["attention_mask"], model.similarity(text.vectors @ images.T, hubness)


def make_queries(titles: list[str], count: int, rng: np.random.Generator) -> list[str]:
    """Queries of some words of a title in its order, or of two titles' words; none without a content word."""
    words = [[word.text for word in content_words(title)] for title in titles]
    words = [each for each in words if each]
    if len(words) < 2:
        raise InputError("the validation titles have too few words to calibrate matches on")
    queries = []
    for index in choose_queries(len(words), count, int(rng.integers(2**31))):
        some = _some(words[index], rng)
        if rng.random() < MIXED:
            some = _some(some, rng) + _some(words[int(rng.integers(len(words)))], rng)
        queries.append(" ".join(dict.fromkeys(some)))
    return queries


def _some(words: list[str], rng: np.random.Generator) -> list[str]:
    count = int(rng.integers(1, len(words) + 1))
    return [words[place] for place in sorted(rng.choice(len(words), count, replace=False))]


def _chosen(similarity: Tensor, rng: np.random.Generator) -> Tensor:
    """(Q, C) columns: the best of each row, and some of all."""
    rows, columns = similarity.shape
    best = similarity.topk(min(BEST, columns), dim=1).indices.cpu()
    return torch.cat([best, torch.from_numpy(rng.integers(columns, size=(rows, OTHERS)))], dim=1)


def _joint(model: KaleidoBertForRetrieval, ids: Tensor, mask: Tensor, patches: Tensor, chosen: Tensor) -> Tensor:
    """Joint scores (Q, C)."""
    query = torch.arange(len(chosen)).repeat_interleave(chosen.shape[1])
    with autocast(model):
        texts = ids, mask, model.text_log_prior(ids, mask)
    return pair_scores(model, texts, patches, query, chosen.flatten(), "calibration").view(chosen.shape)


def _photo_pairs(
    model: KaleidoBertForRetrieval, images: Tensor, words: list[set[str]], rng: np.random.Generator
) -> Pairs:
    asking = torch.from_numpy(choose_queries(len(words), QUERIES, int(rng.integers(2**31))))
    cosine = (images[asking.to(images.device)] @ images.T).float()  # (Q, N)
    cosine[torch.arange(len(asking)), asking] = -1  # a photo finds itself
    chosen = _chosen(cosine, rng)
    outcomes = [
        2 * len(words[i] & words[j]) >= SHARED * (len(words[i]) + len(words[j]))
        for i, row in zip(asking.tolist(), chosen.tolist(), strict=True)
        for j in row
    ]
    kept = (chosen != asking[:, None]).flatten().numpy()
    scaled = (model.scale() * cosine).cpu().gather(1, chosen).flatten().numpy()
    query = np.arange(len(asking)).repeat(chosen.shape[1])
    return Pairs(query[kept], scaled[kept, None], np.array(outcomes)[kept])
