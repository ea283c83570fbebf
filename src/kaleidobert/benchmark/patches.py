"""What patch features cost, and how preparing photos grows with processes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from joblib import Parallel
from torch import Tensor

from kaleidobert.benchmark.drawn import some_products
from kaleidobert.benchmark.operations import operations_of
from kaleidobert.benchmark.timing import Limit, Row, interleaved, machine
from kaleidobert.data.product import Product
from kaleidobert.model import KaleidoBertConfig, KaleidoBertImageProcessor
from kaleidobert.training.locking import lock_in
from kaleidobert.training.settings import RunSettings
from kaleidobert.vision.backbones import PatchEncoder

SCALING = 0.8  # of the rate of one process, for each process


def benchmark_patches(
    settings: RunSettings, photos: int, batch: int, processes: Sequence[int], rounds: int, data: str | None = None
) -> dict[str, Any]:
    """Features of ``batch`` photos by each way, and ``photos`` photos prepared by each number of processes."""
    config = KaleidoBertConfig(**settings.model)
    rows, operations = _features(config, batch, rounds)
    image_processor = KaleidoBertImageProcessor(config.image_size, config.saliency, config.keep_aspect)
    rows += _preparing(some_products(data, photos), image_processor, processes, rounds)
    return {"machine": machine(), "batch": batch, "operations": operations, "rows": [row.figures() for row in rows]}


def _features(config: KaleidoBertConfig, batch: int, rounds: int) -> tuple[list[Row], dict[str, Any]]:
    """Crops are as large as the photo itself, as in the presets that use them: what a backbone is trained on."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    statistics = config.image_mean, config.image_std
    pyramid, crops = (
        PatchEncoder(config.backbone_config, mode, config.image_size, *statistics).eval().to(device)
        for mode in ("pyramid", "crops")
    )
    pixels = torch.rand(batch, 3, config.image_size, config.image_size, device=device)
    normalised = ((pixels - pyramid.mean) / pyramid.std).contiguous(memory_format=torch.channels_last)
    levels = config.level_table

    def plain() -> Sequence[Tensor]:
        return pyramid.backbone(normalised).feature_maps

    functions = {
        "pyramid": lambda: pyramid(pixels, levels),
        "plain": plain,
        "crops": lambda: crops(pixels, levels),
    }
    with torch.no_grad(), torch.autocast(device.type, torch.bfloat16):
        times = interleaved(functions, rounds)
        counted = {name: operations_of(function) for name, function in functions.items()}
    ours = times["pyramid"]
    rows = [
        Row("pyramid", ours, f"crops of {config.image_size} pixels", times["crops"], Limit("speed", "≥", 20)),
        Row("pyramid", ours, "a plain forward of the backbone", times["plain"], Limit("cost", "≤", 1.15)),
    ]
    return rows, {name: each.figures() for name, each in counted.items()}


def _preparing(
    products: Sequence[Product], image_processor: KaleidoBertImageProcessor, processes: Sequence[int], rounds: int
) -> list[Row]:
    def prepare(count: int) -> None:
        with Parallel(n_jobs=count) as pool:
            sum(1 for _ in lock_in(pool, products, image_processor))

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # of this process, which is the one that is compared with
    try:
        functions = {str(count): (lambda count=count: prepare(count)) for count in (1, *processes)}
        times = interleaved(functions, rounds)
    finally:
        torch.set_num_threads(threads)
    return [
        Row(
            f"{len(products)} photos prepared by {count} processes",
            times[str(count)],
            "by one",
            times["1"],
            Limit("speed", "≥", SCALING * count),
        )
        for count in processes
    ]
