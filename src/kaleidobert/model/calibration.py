"""From scores to match probabilities: logistic functions, fitted on validation data by `training.calibration`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.special import expit

from kaleidobert.errors import InputError


@dataclass(frozen=True, slots=True)
class Calibration:
    """What makes probabilities of the scores of one model.

    vectors, combined: weights of a text's score (scaled by 1 / temperature; by vectors alone, or with the joint
        model), of the logarithm of its number of words, and an offset: a product with the one word of a short text
        is common, one with the seven words of a long one is not, and their scores do not tell. combined is empty
        where the joint model has no weight.
    photo: weight of the scaled cosine of two photos, and an offset.
    weak: a text whose best hit has a lower probability has most likely no match in the catalogue.
    """

    vectors: tuple[float, ...]
    photo: tuple[float, ...]
    weak: float
    combined: tuple[float, ...] = ()

    @classmethod
    def of(cls, stored: Mapping[str, Any], owner: str) -> Calibration:
        """From a configuration's or a store's dictionary. Raises ``InputError`` where it was never fitted."""
        if not stored:
            raise InputError(
                f"{owner} has no calibration, so its matches have no probabilities: fit it once with "
                "`kaleidobert calibrate DATA --model RUN`"
            )
        values = {name: stored.get(name, ()) for name in ("vectors", "photo", "combined")}
        return cls(**{name: tuple(value) for name, value in values.items()}, weak=float(stored["weak"]))

    def as_dict(self) -> dict[str, Any]:
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    def text(self, score: np.ndarray, words: int, joint: bool = False) -> np.ndarray:
        """Probabilities that products with these scaled scores have all the words of a text of so many."""
        slope, length, offset = self.combined if joint else self.vectors
        return expit(slope * score + length * np.log(max(words, 1)) + offset)

    def image(self, cosine: np.ndarray) -> np.ndarray:
        """Probabilities that photos with these scaled cosines show products that share half of their words."""
        slope, offset = self.photo
        return expit(slope * cosine + offset)
