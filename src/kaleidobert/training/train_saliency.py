"""Trains the saliency network on folders of photos and masks.

A folder holds ``images/`` and ``masks/``. A photo and its mask have the same file name but for the ending; a mask is
white on the product. docs/saliency.md has the commands that trained the shipped weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from kaleidobert.data.images import open_image
from kaleidobert.data.problems import Problems
from kaleidobert.errors import InputError
from kaleidobert.pretrained import packaged_weights
from kaleidobert.progress import progress_bar
from kaleidobert.training.time_budget import TimeBudget
from kaleidobert.training.training_log import time_text
from kaleidobert.vision.efficientnet_lite import EfficientNetLiteConfig, convert_weights
from kaleidobert.vision.saliency.base import resize_to_square
from kaleidobert.vision.saliency.network import (
    PACKAGED_WEIGHTS,
    SIDE,
    SaliencyNetwork,
    load_network,
    saliency_loss,
    save_network,
)

ENDINGS = (".jpg", ".jpeg", ".png", ".webp")
VALIDATION_SHARE = 0.05
EVALUATIONS = 10  # during a run, evenly spaced; the weights are saved at each
WARMUP_STEPS = 50
ENCODER_RATE = 0.1  # of the learning rate, so that what ImageNet taught is not lost
MASK_CHANNEL = 3  # of a pair's four channels: RGB and mask


def train_saliency(
    folders: Sequence[Path],
    out: Path,
    epochs: float = 10,
    max_minutes: float | None = None,
    batch_size: int = 32,
    learning_rate: float = 3e-3,
    seed: int = 0,
    start: str = "imagenet",
    side: int = SIDE,
    report: Callable[[str], None] = print,
) -> dict[str, float]:
    """Train on the pairs of these folders and write the weights to ``out``; returns losses and validation IoU.

    One pair in twenty, chosen by ``seed``, is held out for validation. Training ends after ``epochs`` or
    ``max_minutes``, whichever comes first, with the learning rate decayed to zero. ``start``: see `initial_network`.
    ``side``: photos are resized to this size, a multiple of 32. ``report`` is called with one line at each evaluation.
    Raises ``InputError`` if pairs are missing or cannot be read.
    """
    if side % 32:
        raise InputError(f"--side {side} is not a multiple of 32")
    if out.is_dir() or out.suffix != ".safetensors":
        raise InputError(f"{out}: not a name for a file of weights; give one that ends in .safetensors")
    torch.manual_seed(seed)  # for the initial weights
    network = initial_network(start)
    pairs = read_pairs(folders, side)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(pairs))
    held = max(1, round(VALIDATION_SHARE * len(pairs)))
    validation, train = pairs[order[:held]], pairs[order[held:]]
    budget, figures, evaluated = TimeBudget(max_minutes), {"pairs": float(len(pairs))}, 0
    with progress_bar() as progress:
        bar = progress.add_task("training, % done", total=100)
        for step, losses in enumerate(fit(network, train, budget, epochs, batch_size, learning_rate, rng), start=1):
            progress.update(bar, completed=int(100 * budget.progress()))
            if int(EVALUATIONS * budget.progress()) == evaluated:
                continue
            evaluated = int(EVALUATIONS * budget.progress())
            figures |= {**losses, "mask_iou": mean_iou(network, validation), "minutes": budget.seconds() / 60}
            figures["epochs"] = step * batch_size / len(train)
            save_network(network, out, side)
            parts = " · ".join(f"{name} loss {value:.3g}" for name, value in losses.items())
            report(f"{time_text(budget)} · {parts} · validation IoU {figures['mask_iou']:.3f}")
    return figures


def initial_network(start: str) -> SaliencyNetwork:
    """A network with the weights ``shipped`` in the package or of a file, or a new one whose encoder was trained on
    ``imagenet``. Raises ``InputError`` where these are missing."""
    if start == "imagenet":
        network = SaliencyNetwork()
        published = torch.load(packaged_weights("efficientnet-lite0"), weights_only=True)
        trained = convert_weights(published, EfficientNetLiteConfig())
        network.encoder.load_state_dict({name: trained[name] for name in network.encoder.state_dict()})
        return network
    return load_network(PACKAGED_WEIGHTS if start == "shipped" else Path(start))[0]


def fit(
    network: SaliencyNetwork,
    pairs: np.ndarray,
    budget: TimeBudget,
    epochs: float,
    batch_size: int,
    learning_rate: float,
    rng: np.random.Generator,
) -> Iterator[dict[str, float]]:
    """Train on pairs (N, S, S, 4) uint8 until the end of ``budget``; yields each step's losses by name."""
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    steps = max(1, round(epochs * len(pairs) / batch_size))
    encoder = {id(weight) for weight in network.encoder.parameters()}
    others = [weight for weight in network.parameters() if id(weight) not in encoder]
    groups = [
        {"params": list(network.encoder.parameters()), "scale": ENCODER_RATE},
        {"params": others, "scale": 1.0},
    ]
    optimizer = torch.optim.AdamW(groups, learning_rate, weight_decay=1e-2)
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
    queue = np.zeros(0, np.int64)  # indices of the next batches
    for step in range(steps):
        while len(queue) < min(batch_size, len(pairs)):
            queue = np.concatenate([queue, rng.permutation(len(pairs))])
        chosen, queue = queue[:batch_size], queue[batch_size:]
        batch = augmented(torch.from_numpy(pairs[chosen]), generator)
        for group in optimizer.param_groups:
            group["lr"] = group["scale"] * learning_rate * max(1e-3, budget.learning_rate_factor(step, WARMUP_STEPS))
        network.train()
        network.encoder.eval()  # it keeps the statistics that it was trained with
        losses = saliency_loss(network(batch[:, :MASK_CHANNEL]), batch[:, MASK_CHANNEL])
        optimizer.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        optimizer.step()
        budget.update((step + 1) / steps)
        yield {name: value.item() for name, value in losses.items()}
        if budget.progress() >= 1:
            return


def augmented(pairs: Tensor, generator: torch.Generator) -> Tensor:
    """Pairs (B, S, S, 4) uint8 -> (B, 4, S, S) in [0, 1], RGB and mask, with random flip, scale, shift and colours."""
    count = len(pairs)

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(count, *shape, generator=generator)

    batch = pairs.permute(0, 3, 1, 2).float() / 255
    affine = torch.zeros(count, 2, 3)
    affine[:, 0, 0] = uniform(0.75, 1.15) * torch.where(uniform(0, 1) < 0.5, -1.0, 1.0)
    affine[:, 1, 1] = affine[:, 0, 0].abs() * uniform(0.85, 1.15)
    affine[:, :, 2] = uniform(-0.12, 0.12, 2)
    grid = F.affine_grid(affine, list(batch.shape), align_corners=False)
    batch = F.grid_sample(batch, grid, padding_mode="border", align_corners=False)
    colours, masks = batch[:, :MASK_CHANNEL], batch[:, MASK_CHANNEL:]
    colours = torch.where(uniform(0, 1, 1, 1, 1) < 0.3, colours[:, torch.randperm(3, generator=generator)], colours)
    grey = colours.mean(dim=1, keepdim=True)
    colours = grey + (colours - grey) * uniform(0.4, 1.3, 1, 1, 1)
    colours = (colours * uniform(0.85, 1.1, 1, 1, 1)).clamp(0, 1) ** uniform(0.8, 1.25, 1, 1, 1)
    return torch.cat([colours, masks], dim=1).contiguous(memory_format=torch.channels_last)


def mean_iou(network: SaliencyNetwork, pairs: np.ndarray, batch_size: int = 32) -> float:
    """Mean intersection over union on pairs (N, S, S, 4) uint8, at threshold 0.5 and the network's resolution."""
    network.eval()
    scores: list[Tensor] = []
    for start in range(0, len(pairs), batch_size):
        batch = torch.from_numpy(pairs[start : start + batch_size]).permute(0, 3, 1, 2)
        with torch.inference_mode():
            found = network(batch[:, :MASK_CHANNEL].float() / 255).mask > 0
        true = batch[:, MASK_CHANNEL] > 127
        union = (found | true).sum(dim=(1, 2))
        scores.append(torch.where(union > 0, (found & true).sum(dim=(1, 2)) / union.clamp(min=1), 1.0))
    return torch.cat(scores).mean().item()


def read_pairs(folders: Sequence[Path], side: int) -> np.ndarray:
    """All pairs of these folders, RGB and mask stretched to squares: (N, side, side, 4) uint8.

    Photos that have no mask or cannot be decoded are skipped, and counted in a printed warning. Raises ``InputError``
    if they are more than 5%.
    """
    problems = Problems()
    pairs: list[np.ndarray] = []
    with progress_bar() as progress:
        for folder in folders:
            images, masks = _files(folder, "images"), _files(folder, "masks")
            for stem, path in progress.track(images.items(), description=f"reading {folder.name}"):
                problems.total += 1
                try:
                    pairs.append(_pair(path, masks.get(stem), side))
                except (OSError, ValueError, SyntaxError) as error:
                    problems.add(folder, path.name, str(error))
    problems.check(0.05)
    if problems.count:
        print(problems.summary())
    if len(pairs) < 2:
        raise InputError(f"{folders[0]}: {len(pairs)} pairs are too few; put photos into images/, masks into masks/")
    return np.stack(pairs)


def _files(folder: Path, name: str) -> dict[str, Path]:
    """File name without ending -> picture of a subfolder, sorted."""
    place = folder / name
    if not place.is_dir():
        raise InputError(f"{folder}: no folder {name}/ in it; put photos into images/ and masks into masks/")
    return {path.stem: path for path in sorted(place.iterdir()) if path.suffix.lower() in ENDINGS}


def _pair(image: Path, mask: Path | None, side: int) -> np.ndarray:
    """(side, side, 4) uint8."""
    if mask is None:
        raise ValueError("no file of this name in masks/")
    with Image.open(mask) as file:
        covered = file.convert("L").resize((side, side), Image.Resampling.BILINEAR)
    return np.dstack([resize_to_square(open_image(image), side), np.asarray(covered)])
