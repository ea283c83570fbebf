"""The fitted weights of a run's scores, kept in ``ranking.json``.

There are two fits, without and with the retrieval memory, so that either can be used and reported.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kaleidobert.errors import InputError, reason_of
from kaleidobert.files import write_whole

if TYPE_CHECKING:  # a server that has no torch reads the weights, too
    from kaleidobert.model.objectives import Objectives

RANKING_FILE = "ranking.json"
FORMAT = 2
JOINT_TERMS = {"itm": "ITM", "lm": "LM"}  # of the joint score: by name, the objective that trains each
DIRECTIONS = ("TIR", "ITR")  # text-to-image and image-to-text retrieval
RERANK = 20  # how many of the best candidates by embeddings the joint model scores, by default


def trained_terms(objectives: Objectives) -> list[str]:
    """The terms of the joint score whose objective was trained; of a run that trained neither, the first."""
    return [name for name, loss in JOINT_TERMS.items() if objectives.weight(loss)] or [next(iter(JOINT_TERMS))]


@dataclass(frozen=True)
class RankingWeights:
    """One fit. Weights of the memory are 0 without one.

    itm_weight, lm_weight: of the joint score's two terms, the ITM logit and the LM's log-likelihood ratio
        log p(text | photo) - ``prior_weight`` * log p(text); a term of weight 0 is not computed.
    background_photos: in image-to-text retrieval, log p(text) is estimated given this many photos that are nearest to
        the text (`evaluation.background`); 0: it is the LM's own.
    joint_weight: of the joint score beside the similarity, for each direction; 0 where it adds nothing.
    memory_neighbours, memory_weight: how many training pairs enhance an embedding, and how much.
    hubness_weight: multiplies the hubness that is subtracted from the cosine.
    layout_neighbours: training photos with the nearest layouts; neighbour_word_weight: how much of each word's
        probability their texts give; neighbour_pmi_weight: of the neighbour-text PMI beside the joint score.
    calibration: of match probabilities (see `scoring.calibration`); where there were too few products to fit
        it, only why (``missing``).
    """

    itm_weight: float = 1.0
    lm_weight: float = 0.0
    prior_weight: float = 1.0
    background_photos: int = 0
    joint_weight: Mapping[str, float] = field(default_factory=lambda: dict.fromkeys(DIRECTIONS, 1.0))
    memory_neighbours: int = 5
    memory_weight: float = 0.0
    hubness_weight: float = 0.0
    layout_neighbours: int = 50
    neighbour_word_weight: float = 0.0
    neighbour_pmi_weight: float = 0.0
    calibration: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not (self.itm_weight or self.lm_weight):
            raise InputError("itm_weight and lm_weight are both 0; leave the joint model out by joint_weight")
        if set(self.joint_weight) != set(DIRECTIONS):
            raise InputError(f"joint_weight has {', '.join(self.joint_weight)}; give {' and '.join(DIRECTIONS)}")

    @property
    def joint_terms(self) -> str:
        """The terms of the joint score with their weights, for display: "0.25 ITM + LM"."""
        parts = ((weight, JOINT_TERMS[name]) for name, weight in (("itm", self.itm_weight), ("lm", self.lm_weight)))
        return " + ".join(f"{weight:g} {name}" if weight != 1 else name for weight, name in parts if weight)

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
        write_whole(json.dumps({"format": FORMAT} | asdict(self), indent=2) + "\n", run / RANKING_FILE)

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
            raise InputError(f"{file} is damaged ({reason_of(error)}): {how}") from error
        raise InputError(f"{file} was fitted by another version (format {found}, this version reads {FORMAT}): {how}")
