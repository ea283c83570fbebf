"""Convert run folders of format 1, in which config.json also held objectives, ranking weights and calibration."""

from __future__ import annotations

import json
import shutil
from inspect import signature
from pathlib import Path
from typing import Any

import yaml
from safetensors.torch import load_file, save_file

from kaleidobert.errors import InputError
from kaleidobert.model.configuration import FORMAT, KaleidoBertConfig
from kaleidobert.training.settings import RUN_SETTINGS

# By the start of a weight's name; memories were kept among the weights and are built anew.
RENAMED = {"matching.": "itm_head.", "masked_tokens.": "lm_head.", "pretext.": "pretext_heads."}
DROPPED = ("memory.", "looks.")
OBJECTIVES = {"loss_weights": "weights", **{name: name for name in ("corruption", "kl_temperature")}}
OBJECTIVES["hard_negatives_from"] = "hard_negatives_from"
RETRIEVAL = ("KaleidoBertForPreTraining", "KaleidoBertForRetrieval")
COPIED = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "history.json", "training_args.bin")


def migrate_run(run: Path, out: Path) -> bool:
    """Write ``run`` in the present format to ``out``; returns whether it still needs its ranking fitted.

    Raises ``InputError`` where ``run`` is no finished run of format 1, or ``out`` exists.
    """
    if not (run / "config.json").is_file() or not (run / "model.safetensors").is_file():
        raise InputError(f"{run}: no finished run there; give a folder with config.json and model.safetensors")
    before = json.loads((run / "config.json").read_text())
    if before.get("format", 1) != 1:
        raise InputError(f"{run} has format {before['format']} already; use it as it is")
    if out.exists():
        raise InputError(f"{out} exists already; give a new folder")
    out.mkdir(parents=True)
    known = set(signature(KaleidoBertConfig).parameters) | {"architectures", "id2label", "label2id"}
    config = KaleidoBertConfig(**{name: value for name, value in before.items() if name in known and name != "kwargs"})
    config.save_pretrained(out)
    weights = load_file(run / "model.safetensors")
    kept = {_renamed(name): each for name, each in weights.items() if not name.startswith(DROPPED)}
    save_file(kept, out / "model.safetensors", metadata={"format": "pt"})
    if (run / RUN_SETTINGS).is_file():
        settings = migrated_settings(yaml.safe_load((run / RUN_SETTINGS).read_text()))
        (out / RUN_SETTINGS).write_text(yaml.safe_dump(settings, sort_keys=False))
    for name in COPIED:
        if (run / name).is_file():
            shutil.copy2(run / name, out / name)
    photos = json.loads((run / "preprocessor_config.json").read_text())
    _image_processor(photos).save_pretrained(out)
    return before.get("architectures", ["KaleidoBertForRetrieval"])[0] in RETRIEVAL


def migrated_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """settings.yaml of format 1 with the objectives, and what froze the backbone, in their new places."""
    model = dict(settings["model"])
    objectives = {new: model.pop(old) for old, new in OBJECTIVES.items() if old in model}
    frozen = model.pop("freeze_backbone", False)
    known = set(signature(KaleidoBertConfig).parameters)
    model = {name: value for name, value in model.items() if name in known}
    training = dict(settings.get("training", {})) | ({"freeze_backbone": True} if frozen else {})
    return {**settings, "model": model, "objectives": objectives, "training": training}


def _renamed(name: str) -> str:
    for old, new in RENAMED.items():
        if name.startswith(old):
            return new + name.removeprefix(old)
    return name


def _image_processor(settings: dict[str, Any]) -> Any:
    from kaleidobert.model import KaleidoBertImageProcessor

    return KaleidoBertImageProcessor(settings["image_size"], settings["saliency"], settings["keep_aspect"])


assert FORMAT == 2, "a new format needs a migration of its own"
