"""Loading what a run folder holds."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
import transformers

from kaleidobert.errors import InputError
from kaleidobert.model.configuration import KaleidoBertConfig
from kaleidobert.model.encoder import KaleidoBertPreTrainedModel
from kaleidobert.model.processing import KaleidoBertProcessor
from kaleidobert.model.retrieval import KaleidoBertForRetrieval
from kaleidobert.scoring.pair_scorer import KaleidoBertScoring

_LOGGER = logging.getLogger(__name__)
Model = TypeVar("Model", bound=KaleidoBertPreTrainedModel)


def load_run(folder: Path) -> tuple[KaleidoBertForRetrieval, KaleidoBertProcessor]:
    """A run's model for retrieval (evaluation mode, on the GPU where there is one) and its processor.

    Raises ``InputError`` where the folder is missing or holds no model, or one that cannot rank.
    """
    return load_model(folder, KaleidoBertForRetrieval), load_processor(folder)


def load_model(folder: Path, kind: type[Model], new: str | None = None, **settings: Any) -> Model:
    """A run's weights as a model of this kind, in evaluation mode, on the GPU where there is one.

    ``new``: the head that fine-tuning begins anew where the run has none, by the start of its weights' names; what
    else the run lacks is an ``InputError``, as weights at random would give figures all the same. ``settings``
    replace those of the run's configuration.
    """
    config = load_config(folder)
    for name, value in settings.items():
        setattr(config, name, value)
    try:
        with _own_words():
            loaded: Any = kind.from_pretrained(
                folder, config=config, output_loading_info=True, ignore_mismatched_sizes=new is not None
            )
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(f"the model in {folder} cannot be loaded: {' '.join(str(error).split())}") from error
    model, report = loaded
    missing = sorted(key for key in report["missing_keys"] if new is None or not key.startswith(new))
    if missing:
        holds = (config.architectures or ["model of another kind"])[0]
        raise InputError(
            f"{folder} holds a {holds}, not a {kind.__name__} of this version (it has no {missing[0]}); "
            "give another run, or train it again"
        )
    if isinstance(model, KaleidoBertScoring) and config.neighbour_word_weight and not config.memory_looks:
        _LOGGER.warning(
            "%s: its memory is an earlier version's, without looks, and tells no words; make it anew with "
            "kaleidobert calibrate DATA --model %s --remember",
            *(folder, folder),
        )
    return model.to("cuda" if torch.cuda.is_available() else "cpu").eval()


def load_config(folder: Path) -> KaleidoBertConfig:
    """A run's configuration. Raises ``InputError`` where the folder has none."""
    if not (folder / "config.json").is_file():
        raise InputError(f"no model in {folder}: it has no config.json; give the folder of a finished run")
    try:
        return KaleidoBertConfig.from_pretrained(folder)
    except (OSError, ValueError) as error:
        raise InputError(f"the model in {folder} cannot be loaded: {' '.join(str(error).split())}") from error


def load_processor(folder: Path) -> KaleidoBertProcessor:
    """A run's processor. Raises ``InputError`` where the folder has none."""
    try:
        return KaleidoBertProcessor.from_pretrained(folder)
    except (OSError, ValueError) as error:
        raise InputError(f"the processor in {folder} cannot be loaded: {' '.join(str(error).split())}") from error


@contextmanager
def _own_words() -> Iterator[None]:
    """Without the library's table of weights that begin anew: they are meant to, or an error says so."""
    before = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers.logging.set_verbosity(before)
