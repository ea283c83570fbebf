"""Loading what a run folder holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from kaleidobert.errors import InputError
from kaleidobert.model.processing import KaleidoBertProcessor
from kaleidobert.model.retrieval import KaleidoBertForRetrieval


def load_run(folder: Path) -> tuple[KaleidoBertForRetrieval, KaleidoBertProcessor]:
    """A run's model (evaluation mode, on the GPU where there is one) and its processor.

    Raises ``InputError`` where the folder is missing or holds no model.
    """
    if not (folder / "config.json").is_file():
        raise InputError(f"no model in {folder}: it has no config.json; give the folder of a finished run")
    try:
        model: Any = KaleidoBertForRetrieval.from_pretrained(folder)
        processor = KaleidoBertProcessor.from_pretrained(folder)
    except (OSError, ValueError) as error:
        raise InputError(f"the model in {folder} cannot be loaded: {' '.join(str(error).split())}") from error
    return model.to("cuda" if torch.cuda.is_available() else "cpu").eval(), processor
