"""Match probabilities: logistic functions of the scores, fitted to validation data by `evaluation.fit_calibration`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.special import expit

WORDS_WEIGHT = 4.0  # in nats, of all words of a query, where there are no facts to fit it to
ABSENT = 4  # a word of no product's text has the visibility of a rare word, divided by this


@dataclass(frozen=True, slots=True)
class Calibration:
    """The match probabilities of one model.

    vectors, combined: logistic weights (4,): of a text's score (divided by the temperature; of vectors alone, or of
        vectors and joint model combined), of its two `features`, and the intercept. combined is empty where the joint
        model has no weight. vectors_words, combined_words: the same (5,), with the weight of the share of the text's
        words that the product has after that of the score; empty where they were not fitted.
    photo: logistic weights (2,) of the scaled cosine of two photos.
    words: the visibility of each frequent word, its R-precision as a query: high for "black", low for a brand.
        unknown: the visibility of all other words.
    missing: why these are no probabilities, only increasing functions of the scores, for ranking; "" otherwise.
    weak: where the best hit of a text has a lower probability, the catalogue most likely holds no match; weak_words:
        the same where the product's words count.
    """

    vectors: tuple[float, ...]
    photo: tuple[float, ...]
    weak: float
    words: Mapping[str, float]
    unknown: float
    combined: tuple[float, ...] = ()
    vectors_words: tuple[float, ...] = ()
    combined_words: tuple[float, ...] = ()
    weak_words: float = 0.0
    missing: str = ""

    @classmethod
    def of(cls, stored: Mapping[str, Any], scale: float) -> Calibration:
        """From a ranking.json or a store; `unfitted` where it was not fitted, or by an older version."""
        if not {"vectors", "photo", "weak", "words", "unknown"} <= set(stored):
            return cls.unfitted(scale, stored.get("missing") or "they were not fitted by this version")
        fits = ("vectors", "photo", "combined", "vectors_words", "combined_words")
        values: dict[str, Any] = {name: tuple(stored.get(name, ())) for name in fits}
        return cls(
            **values,
            weak=float(stored["weak"]),
            weak_words=float(stored.get("weak_words", stored["weak"])),
            words=dict(stored["words"]),
            unknown=float(stored["unknown"]),
        )

    @classmethod
    def unfitted(cls, scale: float, reason: str) -> Calibration:
        """For the search of a run without match probabilities; ``scale``: that of its cosines, ``reason``: why."""
        return cls(
            vectors=(1.0, 0.0, 0.0, -scale),  # of a cosine below 1: never so near to 1 that scores become equal
            vectors_words=(1.0, WORDS_WEIGHT, 0.0, 0.0, -scale - WORDS_WEIGHT),
            photo=(1.0, -scale),
            weak=0.0,
            words={},
            unknown=1.0,
            missing=f"hits have no match percentages: {reason}; fit them on a catalogue with more products by "
            "kaleidobert fit-ranker DATA --model RUN",
        )

    def as_dict(self) -> dict[str, Any]:
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    def features(self, words: Sequence[str | None]) -> tuple[float, float]:
        """Logarithms of the lowest visibility among a text's content words, and of their number.

        None stands for a word that is in no product's text.
        """
        visibility = [
            self.unknown / ABSENT if word is None else self.words.get(word.lower(), self.unknown) for word in words
        ] or [self.unknown]
        return math.log(min(visibility)), math.log(len(visibility))

    def text(
        self, score: np.ndarray, words: Sequence[str | None], share: np.ndarray | None = None, joint: bool = False
    ) -> np.ndarray:
        """Probabilities (N,) that products with scaled scores (N,) match all content words of a text.

        share (N,): of the text's words that each product has; None: they do not count.
        """
        found: np.ndarray | float = 0.0
        if share is None:
            slope, *weights, offset = self.combined if joint else self.vectors
        else:
            slope, own, *weights, offset = self.combined_words if joint else self.vectors_words
            found = own * share
        return expit(slope * score + found + np.dot(weights, self.features(words)) + offset)

    def image(self, cosine: np.ndarray) -> np.ndarray:
        """Probabilities (N,) that photos at scaled cosines (N,) show products that share half of their words."""
        slope, offset = self.photo
        return expit(slope * cosine + offset)
