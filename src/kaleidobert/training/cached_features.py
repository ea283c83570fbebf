"""Features of a frozen backbone, computed once for a whole catalogue: `kaleidobert features`, `pretrain --features`.

A folder holds ``features.json``, which identifies the backbone and the photos, and one memory-mapped file per split: a
float16 array (V, 2, R, D), the cached features (see `model.cached_features`) of each view and of its mirror image. It
is written chunk by chunk; an interrupted build continues after its last complete chunk.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kaleidobert.data.reading import BY_DEFAULT, Reading
from kaleidobert.errors import InputError
from kaleidobert.files import read_json, write_whole
from kaleidobert.model import KaleidoBertConfig, KaleidoBertImageProcessor
from kaleidobert.model.cached_features import cached_rows
from kaleidobert.model.encoder import KaleidoBertModel
from kaleidobert.model.image_processing import to_pixel_values
from kaleidobert.model.initial import load_image
from kaleidobert.model.pretext_base import LevelBatch
from kaleidobert.model.pretext_objectives import reencoded
from kaleidobert.model.pretext_tasks import level_tasks
from kaleidobert.progress import progress_bar
from kaleidobert.training.dataset import PreparedDataset, prepare
from kaleidobert.training.settings import RunSettings

STATE_FILE = "features.json"
DAMAGED = "delete its folder, and compute the features again"
FORMAT = 1  # to be raised when the files' contents change
CHUNK = 16  # views encoded at once
FINGERPRINT_PHOTOS = 64  # photos of a split that go into its fingerprint, beside all product ids
SPLITS = ("train", "validation")
IRRELEVANT = ("architectures", "dtype", "transformers_version", "_name_or_path")  # of a backbone's configuration


class SplitFeatures:
    """The features of one split, a memory-mapped array (V, 2, R, D)."""

    def __init__(self, file: Path, views: int, rows: int, size: int) -> None:
        self.array = np.memmap(file, dtype=np.float16, mode="r", shape=(views, 2, rows, size))

    def read(self, views: np.ndarray, mirrored: np.ndarray) -> Tensor:
        """Features (B, R, D), float16, of the given views (B,); mirrored (B,) bool."""
        return torch.from_numpy(self.array[views, mirrored.astype(int)])


def build_features(data: str | Path, out: Path, settings: RunSettings, reading: Reading = BY_DEFAULT) -> dict[str, int]:
    """Write the features of the training and validation splits; returns each split's number of views.

    Continues an interrupted build. Raises ``InputError`` if the backbone is not frozen, or if ``out`` holds features
    of another backbone or of other photos.
    """
    config, model = _frozen_model(settings)
    image_processor = KaleidoBertImageProcessor(config.image_size, config.saliency, config.keep_aspect)
    out.mkdir(parents=True, exist_ok=True)
    state = _read_state(out, model, image_processor)
    model.to("cuda" if torch.cuda.is_available() else "cpu").eval()
    counts = {}
    for split in SPLITS:
        dataset = prepare(data, split, image_processor, reading)
        fingerprint = photos_fingerprint(dataset)
        split_state = state["splits"].setdefault(split, {"photos": fingerprint, "done": 0})
        if split_state["photos"] != fingerprint:
            raise InputError(f"{out}: the {split} features in it are of other photos; choose another --out")
        _write_split(out, split, state, dataset, model)
        counts[split] = len(dataset.pixels)
    return counts


def open_features(folder: Path, split: str, dataset: PreparedDataset, model: KaleidoBertModel) -> SplitFeatures:
    """Open a split's features; raises ``InputError`` unless they are complete, of this backbone and of these photos."""
    if not (folder / STATE_FILE).exists():
        raise InputError(f"{folder}: no features there; write them with kaleidobert features DATA --out {folder}")
    state = read_json(folder / STATE_FILE, DAMAGED)
    fingerprint = photos_fingerprint(dataset)
    split_state = state["splits"].get(split, {"photos": fingerprint, "done": 0})
    if state["backbone"] != backbone_fingerprint(model):
        raise InputError(f"{folder}: the features are of another backbone or other levels; compute them again")
    if split_state["photos"] != fingerprint:
        raise InputError(f"{folder}: the {split} features are of other photos; compute them again")
    done, views = split_state["done"], len(dataset.pixels)
    if done < views:
        raise InputError(f"{folder}: {done} of {views} {split} views are done; run kaleidobert features again")
    rows = cached_rows(tuple(model.config.level_table)).total
    return SplitFeatures(folder / f"{split}.f16", views, rows, model.patch_encoder.feature_size)


def open_run_features(
    folder: Path | None, datasets: Mapping[str, PreparedDataset], model: KaleidoBertModel, settings: RunSettings
) -> dict[str, SplitFeatures | None]:
    """The features of each split of a run, all None without a folder; raises ``InputError`` if they do not fit it."""
    if folder is None:
        return dict.fromkeys(datasets)
    check_frozen(settings)
    if settings.training.augmentation:
        raise InputError("cached features allow no augmentation but mirroring: add --set training.augmentation=0")
    return {split: open_features(folder, split, dataset, model) for split, dataset in datasets.items()}


def check_frozen(settings: RunSettings) -> None:
    """Raises ``InputError`` if a photo's features change during training or depend on the rest of the photo."""
    model = KaleidoBertConfig(**settings.model)
    for name, found, needed in (
        ("training.freeze_backbone", settings.training.freeze_backbone, True),
        ("model.patch_features", model.patch_features, "crops"),
        ("objectives.corruption", settings.objectives.corruption, "levels"),
    ):
        if found != needed:
            raise InputError(f"cached features need {name}={str(needed).lower()}, as in the preset base")


def _frozen_model(settings: RunSettings) -> tuple[KaleidoBertConfig, Any]:
    config = KaleidoBertConfig(**settings.model)
    check_frozen(settings)
    if not settings.initial.image:
        raise InputError("cached features need a trained backbone: --set initial.image=microsoft/resnet-50")
    model: Any = KaleidoBertModel(config)
    load_image(model, settings.initial.image)
    return config, model


def backbone_fingerprint(model: KaleidoBertModel) -> str:
    """16 hex digits over everything that turns pixels into features: weights, their configuration and the levels."""
    config, encoder = model.config, model.patch_encoder
    settings = {name: getattr(config, name) for name in ("levels", "crop_size", "image_mean", "image_std")}
    backbone = {name: value for name, value in config.backbone_config.to_diff_dict().items() if name not in IRRELEVANT}
    parts = [FORMAT, settings, backbone]
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode())
    for name, tensor in sorted(encoder.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


def photos_fingerprint(dataset: PreparedDataset) -> str:
    """16 hex digits over a split's product ids and a sample of its prepared photos."""
    digest = hashlib.sha256(json.dumps([dataset.ids, dataset.first_view.tolist()]).encode())
    for view in np.linspace(0, len(dataset.pixels) - 1, FINGERPRINT_PHOTOS).astype(int):
        digest.update(dataset.pixels[view].tobytes())
    return digest.hexdigest()[:16]


def _read_state(out: Path, model: KaleidoBertModel, image_processor: KaleidoBertImageProcessor) -> dict:
    """The state of the build in ``out``, or that of a new one."""
    new = {"backbone": backbone_fingerprint(model), "photos": image_processor.to_dict(), "splits": {}}
    if not (out / STATE_FILE).exists():
        return new
    state = read_json(out / STATE_FILE, DAMAGED)
    if state["backbone"] != new["backbone"]:
        raise InputError(f"{out}: it holds features of another backbone or other levels; choose another --out")
    return state


def _write_split(out: Path, split: str, state: dict, dataset: PreparedDataset, model: KaleidoBertModel) -> None:
    """Append the remaining views in chunks, and record each chunk once it is written."""
    rows, size = cached_rows(tuple(model.config.level_table)).total, model.patch_encoder.feature_size
    view_bytes = 2 * rows * size * np.dtype(np.float16).itemsize
    with open(out / f"{split}.f16", "ab") as file, progress_bar() as progress:
        done = min(state["splits"][split]["done"], file.tell() // view_bytes)
        file.truncate(done * view_bytes)  # an interrupted build may have written more than it recorded
        bar = progress.add_task(f"{split}: features of each view", total=len(dataset.pixels), completed=done)
        for start in range(done, len(dataset.pixels), CHUNK):
            pixels = to_pixel_values(torch.from_numpy(np.array(dataset.pixels[start : start + CHUNK])))
            pixels = pixels.to(model.device)
            sides = [compute_features(model, each).half().cpu() for each in (pixels, pixels.flip(-1))]
            file.write(torch.stack(sides, dim=1).numpy().tobytes())
            file.flush()
            state["splits"][split]["done"] = start + len(pixels)
            write_whole(json.dumps(state), out / STATE_FILE)
            progress.update(bar, advance=len(pixels))


@torch.inference_mode()
def compute_features(model: KaleidoBertModel, pixels: Tensor) -> Tensor:
    """Locked portions (B, 3, S, S) -> features (B, R, D) in the layout of `model.cached_features.cached_rows`."""
    levels, encoder = model.config.level_table, model.patch_encoder
    tasks = {each.index: each for each in level_tasks(levels)}
    parts = [model.patch_features(pixels)]
    for index in cached_rows(tuple(levels)).versions:
        level, task = tasks[index].level, tasks[index].task
        masked = torch.ones(len(pixels), level.patches, dtype=torch.bool, device=pixels.device)
        for version in range(1, task.versions(level) + 1):
            labels = torch.full((len(pixels),), version, device=pixels.device)
            batch = LevelBatch(level=level, labels=labels, masked=masked, blank=encoder.mean)
            parts.append(reencoded(encoder, pixels, task, batch))
    return torch.cat(parts, dim=1)
