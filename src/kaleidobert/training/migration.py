"""Convert run folders of format 1, in which config.json also held objectives, ranking weights and calibration."""

from __future__ import annotations

import json
import shutil
from inspect import signature
from pathlib import Path
from typing import Any

import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from kaleidobert.errors import InputError
from kaleidobert.model.configuration import FORMAT, KaleidoBertConfig
from kaleidobert.training.runs import HISTORY_FILE
from kaleidobert.training.settings import MOVED, RUN_SETTINGS

# By the start of a weight's name; memories were kept among the weights and are built anew.
RENAMED = {"matching.": "itm_head.", "masked_tokens.": "lm_head.", "pretext.": "pretext_heads."}
DROPPED = ("memory.", "looks.")
RETRIEVAL = ("KaleidoBertForPreTraining", "KaleidoBertForRetrieval")
NEEDED = ("config.json", "model.safetensors", "preprocessor_config.json")
COPIED = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", HISTORY_FILE, "training_args.bin")


def migrate_run(run: Path, out: Path) -> bool:
    """Write ``run`` in the present format to ``out``; returns whether it still needs its ranking fitted.

    Raises ``InputError`` where ``run`` is no finished run of format 1 or damaged, or ``out`` exists.
    """
    if any(not (run / name).is_file() for name in NEEDED):
        raise InputError(f"{run}: no finished run there; give a folder with {', '.join(NEEDED)}")
    try:
        before, photos = (json.loads((run / name).read_text()) for name in ("config.json", "preprocessor_config.json"))
        weights = load_file(run / "model.safetensors")
    except (OSError, ValueError, SafetensorError) as error:
        raise InputError(f"{run}: cannot be read ({error}); give the folder of a finished run") from error
    if not (isinstance(before, dict) and isinstance(photos, dict)):
        raise InputError(f"{run}: its configuration holds no settings; give the folder of a finished run")
    if before.get("format", 1) != 1:
        raise InputError(f"{run} has format {before['format']} already; use it as it is")
    if out.exists():
        raise InputError(f"{out} exists already; give a new folder")
    out.mkdir(parents=True)
    known = set(signature(KaleidoBertConfig).parameters) | {"architectures", "id2label", "label2id"}
    config = KaleidoBertConfig(**{name: value for name, value in before.items() if name in known and name != "kwargs"})
    config.save_pretrained(out)
    kept = {_renamed(name): each for name, each in weights.items() if not name.startswith(DROPPED)}
    save_file(kept, out / "model.safetensors", metadata={"format": "pt"})
    if (run / RUN_SETTINGS).is_file():
        settings = migrated_settings(yaml.safe_load((run / RUN_SETTINGS).read_text()))
        (out / RUN_SETTINGS).write_text(yaml.safe_dump(settings, sort_keys=False))
    for name in COPIED:
        if (run / name).is_file():
            shutil.copy2(run / name, out / name)
    _image_processor(photos).save_pretrained(out)
    return before.get("architectures", ["KaleidoBertForRetrieval"])[0] in RETRIEVAL


def migrated_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """settings.yaml of format 1 with its objectives and ``freeze_backbone`` in their new places."""
    before, known = settings["model"], set(signature(KaleidoBertConfig).parameters)
    migrated = settings | {"model": {name: before[name] for name in before if name in known}}
    for name in MOVED.keys() & before.keys():
        section, _, key = MOVED[name].partition(".")
        migrated[section] = {**migrated.get(section, {}), key: before[name]}
    return migrated


def _renamed(name: str) -> str:
    for old, new in RENAMED.items():
        if name.startswith(old):
            return new + name.removeprefix(old)
    return name


def _image_processor(settings: dict[str, Any]) -> Any:
    from kaleidobert.model import KaleidoBertImageProcessor

    return KaleidoBertImageProcessor(settings["image_size"], settings["saliency"], settings["keep_aspect"])


assert FORMAT == 2, "a new format needs a migration of its own"
