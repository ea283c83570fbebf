"""Load the contents of run folders."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from transformers.utils import logging as library_logging

from kaleidobert.errors import InputError, reason_of
from kaleidobert.model.configuration import KaleidoBertConfig, check_format
from kaleidobert.model.encoder import KaleidoBertPreTrainedModel
from kaleidobert.model.objectives import Objectives
from kaleidobert.model.processing import KaleidoBertProcessor
from kaleidobert.model.unfinished import check_finished

AGAIN = "copy its files again from where it was trained, or train it again"
Model = TypeVar("Model", bound=KaleidoBertPreTrainedModel)


def load_model(
    folder: Path,
    kind: type[Model],
    new: str | None = None,
    objectives: Objectives | None = None,
    unfinished: bool = False,
    **settings: Any,
) -> Model:
    """Load a run's weights into a model of this class, in evaluation mode, on the GPU if there is one.

    ``new``: prefix of the weights that the run may lack, those of a new head; all other missing weights raise
    ``InputError``. ``objectives``: for a pair model that is trained further. ``settings`` override the run's
    configuration. An unfinished run is refused unless ``unfinished`` is set, for who finishes it.
    """
    if not unfinished:
        check_finished(folder)
    config = load_config(folder)
    for name, value in settings.items():
        setattr(config, name, value)
    try:
        with _quiet_library():
            kwargs: dict[str, Any] = {} if objectives is None else {"objectives": objectives}
            loaded: Any = kind.from_pretrained(
                folder, config=config, output_loading_info=True, ignore_mismatched_sizes=new is not None, **kwargs
            )
    except (OSError, ValueError, LookupError, RuntimeError, SafetensorError) as error:
        raise InputError(f"the model in {folder} cannot be loaded ({reason_of(error)}): {AGAIN}") from error
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
    """The configuration of a run. Raises ``InputError`` where the folder has none, or one of another format."""
    if not (folder / "config.json").is_file():
        raise InputError(f"no model in {folder}: it has no config.json; give the folder of a finished run")
    try:
        kept = json.loads((folder / "config.json").read_text())
        found = kept.get("format", 1) if isinstance(kept, dict) else None
        if type(found) is not int:
            raise InputError(
                f"{folder / 'config.json'}: not the configuration of a run; give the folder of a finished run"
            )
        check_format(str(folder), found, str(folder))
        return KaleidoBertConfig.from_pretrained(folder)
    except InputError:
        raise
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise InputError(f"the model in {folder} cannot be loaded ({reason_of(error)}): {AGAIN}") from error


def load_processor(folder: Path, unfinished: bool = False) -> KaleidoBertProcessor:
    """The processor of a run. Raises ``InputError`` where the folder has none, as `load_model` for unfinished runs."""
    if not unfinished:
        check_finished(folder)
    try:
        return KaleidoBertProcessor.from_pretrained(folder)
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise InputError(f"the processor in {folder} cannot be loaded ({reason_of(error)}): {AGAIN}") from error


@contextmanager
def _quiet_library() -> Iterator[None]:
    """Suppress the library's progress bar, and its report of missing weights, which `load_model` checks itself."""
    before, bar = library_logging.get_verbosity(), library_logging.is_progress_bar_enabled()
    library_logging.set_verbosity_error()
    library_logging.disable_progress_bar()
    try:
        yield
    finally:
        library_logging.set_verbosity(before)
        if bar:
            library_logging.enable_progress_bar()
