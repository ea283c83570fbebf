"""Kaleido-BERT: fine-grained vision-language pre-training for product catalogues.

Importing the package registers its classes with the Auto classes of `transformers`, which takes as long as importing
PyTorch. The command line does not: its `--help` needs neither, and its verbs import what they use.
"""

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

_PUBLIC = {  # name -> module
    "InputError": "kaleidobert.errors",
    "KaleidoBertConfig": "kaleidobert.model.configuration",
    "KaleidoBertForCaptioning": "kaleidobert.model.captioning",
    "KaleidoBertForClassification": "kaleidobert.model.classification",
    "KaleidoBertForPreTraining": "kaleidobert.model.pretraining",
    "KaleidoBertForRetrieval": "kaleidobert.model.retrieval",
    "KaleidoBertImageProcessor": "kaleidobert.model.image_processing",
    "KaleidoBertModel": "kaleidobert.model.encoder",
    "KaleidoBertProcessor": "kaleidobert.model.processing",
    "KaleidoBertScorer": "kaleidobert.scoring.scorer",
    "Product": "kaleidobert.data.product",
    "read_products": "kaleidobert.data.readers",
}
__all__ = list(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_PUBLIC[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})


def _is_command_line() -> bool:
    """Whether this process runs the script `kaleidobert`, or `python -m kaleidobert`."""
    program = Path(sys.argv[0]).stem if getattr(sys, "argv", None) else ""
    if program == "-m":  # Python is still looking for the module
        following = sys.orig_argv[sys.orig_argv.index("-m") + 1 :] if "-m" in sys.orig_argv else []
        program = following[0].partition(".")[0] if following else ""
    return program == __name__


if not _is_command_line():
    try:
        import_module("kaleidobert.model")
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "transformers"):  # a server needs neither
            raise
