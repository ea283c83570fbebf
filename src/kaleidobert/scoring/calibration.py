"""Match probabilities: logistic functions of the scores, fitted to validation data by `evaluation.fit_calibration`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.special import expit

from kaleidobert.errors import InputError

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

    @classmethod
    def of(cls, stored: Mapping[str, Any], owner: str) -> Calibration:
        """From a ranking.json or a store. Raises ``InputError`` where it was not fitted, or by an older version."""
        if not {"vectors", "photo", "weak", "words", "unknown"} <= set(stored):
            raise InputError(
                f"{owner} has no calibration of this version, so its matches have no probabilities: fit it once with "
                "`kaleidobert fit-ranker DATA --model RUN`"
            )
        fits = ("vectors", "photo", "combined", "vectors_words", "combined_words")
        values = {name: stored.get(name, ()) for name in fits}
        return cls(
            **{name: tuple(value) for name, value in values.items()},
            weak=float(stored["weak"]),
            weak_words=float(stored.get("weak_words", stored["weak"])),
            words=dict(stored["words"]),
            unknown=float(stored["unknown"]),
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
