"""From scores to match probabilities: logistic functions, fitted on validation data by `evaluation.fit_calibration`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.special import expit

from kaleidobert.errors import InputError

ABSENT = 4  # how many times less a word is seen that is in no product's text than one that is rare


@dataclass(frozen=True, slots=True)
class Calibration:
    """Turns the scores of one model into match probabilities.

    vectors, combined: weights of a text's score (scaled by 1 / temperature; by vectors alone, or with the joint
        model), of its two `features`, and an offset. combined is empty where the joint model has no weight.
    photo: weight of the scaled cosine of two photos, and an offset.
    words: of each frequent word, how often the nearest photos' products have it: "black" is seen in most photos, a
        brand in few. unknown: the same for all other words.
    weak: a text whose best hit has a lower probability has most likely no match in the catalogue.
    """

    vectors: tuple[float, ...]
    photo: tuple[float, ...]
    weak: float
    words: Mapping[str, float]
    unknown: float
    combined: tuple[float, ...] = ()

    @classmethod
    def of(cls, stored: Mapping[str, Any], owner: str) -> Calibration:
        """From a configuration or a store. Raises ``InputError`` where it was never fitted, or by an older version."""
        if not {"vectors", "photo", "weak", "words", "unknown"} <= set(stored):
            raise InputError(
                f"{owner} has no calibration of this version, so its matches have no probabilities: fit it once with "
                "`kaleidobert fit-ranker DATA --model RUN`"
            )
        values = {name: stored.get(name, ()) for name in ("vectors", "photo", "combined")}
        return cls(
            **{name: tuple(value) for name, value in values.items()},
            weak=float(stored["weak"]),
            words=dict(stored["words"]),
            unknown=float(stored["unknown"]),
        )

    def as_dict(self) -> dict[str, Any]:
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    def features(self, words: Sequence[str | None]) -> tuple[float, float]:
        """What the scores do not tell of a text with these content words: how well its least visible word is seen, and
        how many must all fit; both as logarithms. None: a word that no product's text has."""
        seen = [
            self.unknown / ABSENT if word is None else self.words.get(word.lower(), self.unknown) for word in words
        ] or [self.unknown]
        return math.log(min(seen)), math.log(len(seen))

    def text(self, score: np.ndarray, words: Sequence[str | None], joint: bool = False) -> np.ndarray:
        """Probabilities that products with these scaled scores have all the content words of a text."""
        slope, *weights, offset = self.combined if joint else self.vectors
        return expit(slope * score + np.dot(weights, self.features(words)) + offset)

    def image(self, cosine: np.ndarray) -> np.ndarray:
        """Probabilities that photos with these scaled cosines show products that share half of their words."""
        slope, offset = self.photo
        return expit(slope * cosine + offset)
