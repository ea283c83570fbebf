"""The fitted weights of a run's scores, kept in ``ranking.json``.

There are two fits, without and with the retrieval memory, so that either can be used and reported.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from kaleidobert.errors import InputError

RANKING_FILE = "ranking.json"
FORMAT = 1
JOINT_SCORERS = {"itm": "ITM", "lm": "LM"}  # by name, the objective that trains each
DIRECTIONS = ("TIR", "ITR")  # text-to-image and image-to-text retrieval
RERANK = 20  # how many of the best candidates by embeddings the joint model scores, by default


@dataclass(frozen=True)
class RankingWeights:
    """One fit. Weights of the memory are 0 without one.

    joint_scorer: "itm", the match logit, or "lm", log p(text | photo) - ``prior_weight`` * log p(text).
    joint_weight: of the joint score beside the similarity, for each direction; 0 where it adds nothing.
    memory_neighbours, memory_weight: how many training pairs enhance an embedding, and how much.
    hubness_weight: multiplies the hubness that is subtracted from the cosine.
    layout_neighbours: training photos with the nearest layouts; neighbour_word_weight: how much of each word's
        probability their texts give; neighbour_pmi_weight: of the neighbour-text PMI beside the joint score.
    calibration: of match probabilities (see `scoring.calibration`); empty where there were too few products to fit it.
    """

    joint_scorer: str = "itm"
    prior_weight: float = 1.0
    joint_weight: Mapping[str, float] = field(default_factory=lambda: dict.fromkeys(DIRECTIONS, 1.0))
    memory_neighbours: int = 5
    memory_weight: float = 0.0
    hubness_weight: float = 0.0
    layout_neighbours: int = 50
    neighbour_word_weight: float = 0.0
    neighbour_pmi_weight: float = 0.0
    calibration: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.joint_scorer not in JOINT_SCORERS:
            raise InputError(f"joint_scorer is {self.joint_scorer!r}; use {' or '.join(JOINT_SCORERS)}")
        if set(self.joint_weight) != set(DIRECTIONS):
            raise InputError(f"joint_weight has {', '.join(self.joint_weight)}; give {' and '.join(DIRECTIONS)}")

    @property
    def uses_layouts(self) -> bool:
        return bool(self.neighbour_word_weight or self.neighbour_pmi_weight)


@dataclass(frozen=True)
class Ranking:
    """Both fits; ``with_memory`` is None for a run without a retrieval memory."""

    without_memory: RankingWeights = RankingWeights()
    with_memory: RankingWeights | None = None

    def save(self, run: Path) -> None:
        """Write ranking.json into a run folder, in one step."""
        scratch = run / f"{RANKING_FILE}.part"
        scratch.write_text(json.dumps({"format": FORMAT} | asdict(self), indent=2) + "\n")
        os.replace(scratch, run / RANKING_FILE)

    @classmethod
    def load(cls, run: Path) -> Ranking:
        """Load from a run folder. Raises ``InputError`` where it is missing or damaged."""
        file = run / RANKING_FILE
        how = f"fit it with kaleidobert fit-ranker DATA --model {run}"
        if not file.is_file():
            raise InputError(f"{run} cannot rank yet, as it has no {RANKING_FILE}: {how}")
        try:
            stored = json.loads(file.read_text())
            found = stored.pop("format", None)
            if found == FORMAT:
                fits = {name: RankingWeights(**fit) for name, fit in stored.items() if fit is not None}
                return cls(fits.pop("without_memory"), **fits)
        except (OSError, ValueError, TypeError, AttributeError, KeyError) as error:
            raise InputError(f"{file} is damaged ({' '.join(str(error).split())}): {how}") from error
        raise InputError(f"{file} has format {found}, this version reads {FORMAT}: {how}")
