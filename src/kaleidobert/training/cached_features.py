"""A frozen backbone's features of a catalogue, computed once: `kaleidobert features`, `pretrain --features`.

A folder holds ``features.json``, what the features are of and by, and a file a split: float16 tables (V, 2, R, D), of
every view its plain and its mirrored table (see `model.cached_features`), mapped into memory and read row by row. It is
written view by view, and a killed run goes on after the last chunk that was whole.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kaleidobert.errors import InputError
from kaleidobert.levels import ROTATIONS, Level
from kaleidobert.model import KaleidoBertConfig, KaleidoBertImageProcessor
from kaleidobert.model.cached_features import cached_rows
from kaleidobert.model.encoder import KaleidoBertModel
from kaleidobert.model.initial import load_backbone
from kaleidobert.model.pretext_tasks import encoded, fit_grid
from kaleidobert.model.processing import to_pixel_values
from kaleidobert.progress import progress_bar
from kaleidobert.training.dataset import PreparedDataset, prepare
from kaleidobert.training.settings import RunSettings
from kaleidobert.vision.backbones import PatchEncoder
from kaleidobert.vision.corruptions import grey_cells, rotate_cells

STATE_FILE = "features.json"
FORMAT = 1  # raise it when what is written changes
CHUNK = 16  # views encoded together
LOOKED_AT = 64  # photos of a split that its fingerprint takes in, with all ids
SPLITS = ("train", "validation")
HISTORY = ("architectures", "dtype", "transformers_version", "_name_or_path")  # what a configuration has been through


class SplitFeatures:
    """One split's tables (V, 2, R, D), mapped."""

    def __init__(self, file: Path, views: int, rows: int, size: int) -> None:
        self.tables = np.memmap(file, dtype=np.float16, mode="r", shape=(views, 2, rows, size))

    def read(self, views: np.ndarray, mirrored: np.ndarray) -> Tensor:
        """(B, R, D) float16 of these views, mirrored or not."""
        return torch.from_numpy(self.tables[views, mirrored.astype(int)])


def build_features(
    data: str | Path, out: Path, settings: RunSettings, columns: Mapping[str, str] | None = None
) -> dict[str, int]:
    """Write the tables of the splits that training reads; returns how many views each has.

    Goes on where a killed one stopped. Raises ``InputError`` for settings whose features change as they train, and
    where ``out`` holds those of another backbone.
    """
    config, model = _frozen(settings)
    image_processor = KaleidoBertImageProcessor(config.image_size, config.saliency, config.keep_aspect)
    out.mkdir(parents=True, exist_ok=True)
    state = _state(out, model, image_processor)
    model.to("cuda" if torch.cuda.is_available() else "cpu").eval()
    counts = {}
    for split in SPLITS:
        catalogue = prepare(data, split, image_processor, columns)
        state["splits"].setdefault(split, {"photos": photos_state(catalogue), "done": 0})
        if state["splits"][split]["photos"] != photos_state(catalogue):
            raise InputError(f"{out}: its {split} features are of other photos; choose another --out")
        _write_split(out, split, state, catalogue, model)
        counts[split] = len(catalogue.pixels)
    return counts


def open_features(folder: Path, split: str, catalogue: PreparedDataset, model: KaleidoBertModel) -> SplitFeatures:
    """A split's features, where they are this backbone's and of these photos; raises ``InputError`` otherwise."""
    if not (folder / STATE_FILE).exists():
        raise InputError(f"{folder}: no features there; write them with kaleidobert features DATA --out {folder}")
    state = json.loads((folder / STATE_FILE).read_text())
    photos = photos_state(catalogue)
    found = state["splits"].get(split, {"photos": photos, "done": 0})
    if state["backbone"] != backbone_state(model):
        raise InputError(f"{folder}: these features are another backbone's, or of other levels; write them anew")
    if found["photos"] != photos:
        raise InputError(f"{folder}: these {split} features are of other photos; write them anew")
    done, views = found["done"], len(catalogue.pixels)
    if done < views:
        raise InputError(f"{folder}: {done} of {views} {split} views are done; run kaleidobert features once more")
    rows = cached_rows(tuple(model.config.level_table)).total
    return SplitFeatures(folder / f"{split}.f16", views, rows, model.patch_encoder.feature_size)


def cached_features(
    folder: Path | None, catalogues: Mapping[str, PreparedDataset], model: KaleidoBertModel, settings: RunSettings
) -> dict[str, SplitFeatures | None]:
    """Each split's features, or None without a folder. Raises ``InputError`` where they do not fit the run."""
    if folder is None:
        return dict.fromkeys(catalogues)
    check_frozen(settings)
    if settings.training.augmentation:
        raise InputError("stored features are of photos as they are, or mirrored: add --set training.augmentation=0")
    return {split: open_features(folder, split, catalogue, model) for split, catalogue in catalogues.items()}


def check_frozen(settings: RunSettings) -> None:
    """Raises ``InputError`` for settings under which features change during training, or differ from draw to draw."""
    found = {
        "training.freeze_backbone": settings.training.freeze_backbone,
        "model.patch_features": KaleidoBertConfig(**settings.model).patch_features,
        "objectives.corruption": settings.objectives.corruption,
    }
    for name, needed in {
        "training.freeze_backbone": True,
        "model.patch_features": "crops",
        "objectives.corruption": "levels",
    }.items():
        if found[name] != needed:
            raise InputError(f"stored features need {name}={str(needed).lower()}, as in the preset base")


def _frozen(settings: RunSettings) -> tuple[KaleidoBertConfig, Any]:
    config = KaleidoBertConfig(**settings.model)
    check_frozen(settings)
    if not settings.initial.backbone:
        raise InputError("stored features need a trained backbone: --set initial.backbone=microsoft/resnet-50")
    model: Any = KaleidoBertModel(config)
    load_backbone(model, settings.initial.backbone)
    return config, model


def backbone_state(model: KaleidoBertModel) -> str:
    """A fingerprint of all that makes features of pixels: weights, their settings, and the levels."""
    config, encoder = model.config, model.patch_encoder
    settings = {name: getattr(config, name) for name in ("levels", "crop_size", "image_mean", "image_std")}
    backbone = {name: value for name, value in config.backbone_config.to_diff_dict().items() if name not in HISTORY}
    parts = [FORMAT, settings, backbone]
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode())
    for name, tensor in sorted(encoder.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


def photos_state(catalogue: PreparedDataset) -> str:
    """A fingerprint of a split's products, and of some of its photos as they were prepared."""
    digest = hashlib.sha256(json.dumps([catalogue.ids, catalogue.first_view.tolist()]).encode())
    for view in np.linspace(0, len(catalogue.pixels) - 1, LOOKED_AT).astype(int):
        digest.update(catalogue.pixels[view].tobytes())
    return digest.hexdigest()[:16]


def _state(out: Path, model: KaleidoBertModel, image_processor: KaleidoBertImageProcessor) -> dict:
    """What ``out`` holds so far, or a new state."""
    new = {"backbone": backbone_state(model), "photos": image_processor.to_dict(), "splits": {}}
    if not (out / STATE_FILE).exists():
        return new
    state = json.loads((out / STATE_FILE).read_text())
    if state["backbone"] != new["backbone"]:
        raise InputError(f"{out}: it holds features of another backbone, or of other levels; choose another --out")
    return state


def _write_split(out: Path, split: str, state: dict, catalogue: PreparedDataset, model: KaleidoBertModel) -> None:
    """Append the views that are not done yet; the state is written after each chunk is."""
    rows, size = cached_rows(tuple(model.config.level_table)).total, model.patch_encoder.feature_size
    view_bytes = 2 * rows * size * np.dtype(np.float16).itemsize
    with open(out / f"{split}.f16", "ab") as file, progress_bar() as progress:
        done = min(state["splits"][split]["done"], file.tell() // view_bytes)
        file.truncate(done * view_bytes)  # what a killed process wrote beyond its last word on it
        bar = progress.add_task(f"{split}: features of each view", total=len(catalogue.pixels), completed=done)
        for start in range(done, len(catalogue.pixels), CHUNK):
            pixels = to_pixel_values(torch.from_numpy(np.array(catalogue.pixels[start : start + CHUNK])))
            pixels = pixels.to(model.device)
            sides = [tables(model, each).half().cpu() for each in (pixels, pixels.flip(-1))]
            file.write(torch.stack(sides, dim=1).numpy().tobytes())
            file.flush()
            state["splits"][split]["done"] = start + len(pixels)
            scratch = out / f"{STATE_FILE}.part"
            scratch.write_text(json.dumps(state))
            os.replace(scratch, out / STATE_FILE)
            progress.update(bar, advance=len(pixels))


@torch.inference_mode()
def tables(model: KaleidoBertModel, pixels: Tensor) -> Tensor:
    """Locked portions (B, 3, S, S) -> their tables (B, R, D)."""
    levels, encoder = model.config.level_table, model.patch_encoder
    parts = [model.patch_features(pixels)]
    for level in (level for level in levels if level.task == "rotation"):
        parts += [_turned(encoder, pixels, level, turns) for turns in range(1, ROTATIONS)]
    for level in (level for level in levels if level.task == "grey"):
        everywhere = torch.ones(len(pixels), level.patches, dtype=torch.bool, device=pixels.device)
        parts.append(encoded(encoder, grey_cells(pixels, level.grid, everywhere), [level]))
    return torch.cat(parts, dim=1)


def _turned(encoder: PatchEncoder, pixels: Tensor, level: Level, turns: int) -> Tensor:
    quarter_turns = torch.full((len(pixels),), turns, device=pixels.device)
    return encoded(encoder, rotate_cells(fit_grid(pixels, level.grid), level.grid, quarter_turns), [level])
