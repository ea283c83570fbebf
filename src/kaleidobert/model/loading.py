"""Loading what a run folder holds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
import transformers

from kaleidobert.errors import InputError
from kaleidobert.model.configuration import FORMAT, KaleidoBertConfig
from kaleidobert.model.encoder import KaleidoBertPreTrainedModel
from kaleidobert.model.objectives import Objectives
from kaleidobert.model.processing import KaleidoBertProcessor

Model = TypeVar("Model", bound=KaleidoBertPreTrainedModel)


def load_model(
    folder: Path, kind: type[Model], new: str | None = None, objectives: Objectives | None = None, **settings: Any
) -> Model:
    """A run's weights as a model of this kind, in evaluation mode, on the GPU where there is one.

    ``new``: the head that fine-tuning adds where the run has none, by the start of its weights' names; anything else
    that the run lacks is an ``InputError``, as random weights would give figures all the same. ``objectives``: of a
    pair model that is trained further. ``settings`` replace those of the run's configuration.
    """
    config = load_config(folder)
    for name, value in settings.items():
        setattr(config, name, value)
    try:
        with _quiet_library():
            kwargs: dict[str, Any] = {} if objectives is None else {"objectives": objectives}
            loaded: Any = kind.from_pretrained(
                folder, config=config, output_loading_info=True, ignore_mismatched_sizes=new is not None, **kwargs
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
    return model.to("cuda" if torch.cuda.is_available() else "cpu").eval()


def load_config(folder: Path) -> KaleidoBertConfig:
    """A run's configuration. Raises ``InputError`` where the folder has none."""
    if not (folder / "config.json").is_file():
        raise InputError(f"no model in {folder}: it has no config.json; give the folder of a finished run")
    try:
        found = json.loads((folder / "config.json").read_text()).get("format", 1)
        if found != FORMAT:
            raise InputError(
                f"{folder} was made by {'an earlier' if found < FORMAT else 'a later'} version of kaleidobert: "
                f"convert it with kaleidobert migrate {folder} --out NEW, or train it again"
            )
        return KaleidoBertConfig.from_pretrained(folder)
    except InputError:
        raise
    except (OSError, ValueError) as error:
        raise InputError(f"the model in {folder} cannot be loaded: {' '.join(str(error).split())}") from error


def load_processor(folder: Path) -> KaleidoBertProcessor:
    """A run's processor. Raises ``InputError`` where the folder has none."""
    try:
        return KaleidoBertProcessor.from_pretrained(folder)
    except (OSError, ValueError) as error:
        raise InputError(f"the processor in {folder} cannot be loaded: {' '.join(str(error).split())}") from error


@contextmanager
def _quiet_library() -> Iterator[None]:
    """Without the library's table of missing weights: they are meant to be new, or an error says so."""
    before = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers.logging.set_verbosity(before)
