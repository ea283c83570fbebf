"""Compare foreground detectors on synthetic photos with known masks, and by eye on a catalogue's own photos.

python benchmarks/saliency.py --synthetic 300 --json saliency.json
python benchmarks/saliency.py --photos catalogue/ --split test --out sheet.png
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

from common import write_json
from kaleidobert.data.readers import read_products
from kaleidobert.synthetic.composites import composites
from kaleidobert.vision.drawing import Locked, photo_tile
from kaleidobert.vision.saliency.base import Box, ForegroundDetector, locked_box
from kaleidobert.vision.saliency.detectors import DETECTORS, detector

HELD_OUT = 1  # seed of the test photos; the shipped weights were trained on seed 0
TILE, GAP, CAPTION = 150, 8, 22  # pixels


def mask_iou(found: np.ndarray, true: np.ndarray) -> float:
    """Intersection over union of two masks (H, W) at 0.5."""
    a, b = found > 0.5, true > 0.5
    return float((a & b).sum() / max(1, (a | b).sum()))


def box_iou(a: Box, b: Box) -> float:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = max(0, width) * max(0, height)
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def scores(found: ForegroundDetector, photos: Sequence[tuple[Image.Image, Image.Image]]) -> dict[str, float]:
    """Mean IoU of masks and boxes and photos with a box, in %; boxes per second of CPU time, and on all cores."""
    found(photos[0][0])
    started = time.process_time()
    masks = [found(image) for image, _ in photos]
    boxes = [locked_box(mask) for mask in masks]
    seconds = time.process_time() - started
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        started = time.perf_counter()
        list(pool.map(lambda photo: locked_box(found(photo[0])), photos))
        seconds_together = time.perf_counter() - started
    true = [np.asarray(mask, np.float32) / 255 for _, mask in photos]
    mask_ious = [mask_iou(*pair) for pair in zip(masks, true, strict=True)]
    box_ious = [box_iou(box, locked_box(mask)[0]) for (box, _), mask in zip(boxes, true, strict=True)]
    return {
        "mask_iou": 100 * float(np.mean(mask_ious)),
        "box_iou": 100 * float(np.mean(box_ious)),
        "boxes_of_iou_0.7": 100 * float(np.mean(np.array(box_ious) > 0.7)),
        "found": 100 * float(np.mean([is_found for _, is_found in boxes])),
        "boxes_per_second": len(photos) / seconds,
        "boxes_per_second_all_cores": len(photos) / seconds_together,
    }


def measure(names: Sequence[str], count: int) -> dict[str, dict[str, dict[str, float]]]:
    """``count`` photos with busy backgrounds, and as many studio shots, separately."""
    figures: dict[str, dict[str, dict[str, float]]] = {}
    for place, busy in (("busy", 1.0), ("studio", 0.0)):
        photos = list(composites(count, HELD_OUT, busy))
        figures[place] = {name: scores(detector(name), photos) for name in names}
        for name, row in figures[place].items():
            print(f"{place:7}{name:15}", ", ".join(f"{key} {value:.1f}" for key, value in row.items()))
    return figures


def drawn_photos(data: str, split: str, count: int, seed: int) -> Iterator[Image.Image]:
    """``count`` random first views among the first 1,000 products of a split."""
    products = list(islice(read_products(data, split), 1000))
    for index in sorted(np.random.default_rng(seed).permutation(len(products))[:count]):
        yield products[index].open(0)


def sheet(names: Sequence[str], photos: Sequence[Image.Image], columns: int) -> Image.Image:
    """Each photo once per detector, numbered, with its mask and locked box drawn."""
    cell = (len(names) * TILE + GAP, TILE + CAPTION)
    picture = Image.new("RGB", (columns * cell[0] + GAP, -(-len(photos) // columns) * cell[1] + GAP), "white")
    draw = ImageDraw.Draw(picture)
    for index, photo in enumerate(photos):
        x, y = GAP + index % columns * cell[0], index // columns * cell[1]
        for column, name in enumerate(names):
            tile = photo_tile(Locked.of(photo, detector(name))).resize((TILE - 2, TILE - 2), Image.Resampling.LANCZOS)
            picture.paste(tile, (x + column * TILE, y + CAPTION))
            draw.text((x + column * TILE + 2, y + 7), f"{index + 1} {Path(name).name[:18]}", "black")
    return picture


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--detectors", nargs="+", default=list(DETECTORS), help="names, weights or checkpoints")
    parser.add_argument("--synthetic", type=int, help="measure on this many synthetic photos per kind")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--photos", help="draw a contact sheet of this catalogue's photos")
    parser.add_argument("--split", default="test")
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0, help="chooses the photos of the sheet")
    parser.add_argument("--out", type=Path, default=Path("saliency.png"))
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    if arguments.synthetic:
        figures = measure(arguments.detectors, arguments.synthetic)
        write_json(figures, arguments.json)
    if arguments.photos:
        names = [name for name in arguments.detectors if name != "none"]
        photos = list(drawn_photos(arguments.photos, arguments.split, arguments.count, arguments.seed))
        sheet(names, photos, columns=4).save(arguments.out)


if __name__ == "__main__":
    main()
