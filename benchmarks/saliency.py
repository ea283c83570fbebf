"""Compare foreground detectors on photos with known masks, and by eye on a catalogue's own photos.

Drawn photos:                     python benchmarks/saliency.py --synthetic 300 --json saliency.json
Real products on photographs:     python benchmarks/saliency.py --studio DATA --surfaces FOLDER --out sheet.png
A catalogue's studio shots:       python benchmarks/saliency.py --studio DATA
Its photos, by eye:               python benchmarks/saliency.py --photos DATA --split test --out sheet.png
"""

from __future__ import annotations

import argparse
import io
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFilter

from common import write_json
from kaleidobert.data.readers import read_products
from kaleidobert.synthetic.composites import composites
from kaleidobert.synthetic.studio_shots import product_mask, studio_cut_outs
from kaleidobert.synthetic.surfaces import read_surfaces
from kaleidobert.vision.drawing import Locked, photo_tile
from kaleidobert.vision.saliency.base import Box, ForegroundDetector, locked_box
from kaleidobert.vision.saliency.detectors import DETECTORS, detector

HELD_OUT = 1  # seed of the test photos; the shipped weights were trained on seed 0
HELD_OUT_SPLITS = ("test", "validation")
WITHOUT_PEOPLE = ("Footwear", "Bags", "Watches", "Eyewear", "Wallets", "Belts", "Headwear")
GARMENTS = ("Topwear", "Bottomwear", "Dress")
Photo = tuple[Image.Image, Image.Image]  # RGB, and the mask (L)
TILE, GAP, CAPTION = 150, 8, 22  # pixels


def mask_iou(found: np.ndarray, true: np.ndarray) -> float:
    """Intersection over union of two masks (H, W) at 0.5."""
    a, b = found > 0.5, true > 0.5
    return float((a & b).sum() / max(1, (a | b).sum()))


def box_iou(a: Box, b: Box) -> float:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = max(0, width) * max(0, height)
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def scores(found: ForegroundDetector, photos: Sequence[Photo]) -> dict[str, float]:
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


def measure(names: Sequence[str], places: dict[str, Sequence[Photo]]) -> dict[str, dict[str, dict[str, float]]]:
    """The `scores` of each detector on each set of photos."""
    figures: dict[str, dict[str, dict[str, float]]] = {}
    for place, photos in places.items():
        figures[place] = {name: scores(detector(name), photos) for name in names}
        for name, row in figures[place].items():
            print(
                f"{place:10}{Path(name).name:20}",
                ", ".join(f"{key} {value:.1f}" for key, value in row.items()),
                flush=True,
            )
    return figures


def real_photos(data: str, folder: Path, count: int, seed: int) -> list[Photo]:
    """``count`` products of the test and validation splits, without people, on photographs of surfaces.

    They are cut out of their studio shots. A third of the surfaces are cloth: the middle of photos of garments,
    magnified. None of the code that composes the training photos is used.
    """
    products = list(studio_cut_outs(data, HELD_OUT_SPLITS, WITHOUT_PEOPLE))
    worn = [
        product.open()
        for split in HELD_OUT_SPLITS
        for product in read_products(data, split)
        if product.subcategory in GARMENTS
    ]
    surfaces = read_surfaces(folder)
    chosen = np.random.default_rng(seed).permutation(len(products))[:count]
    return [_on_a_surface(products[index][0], surfaces, worn, np.random.default_rng([seed, index])) for index in chosen]


def _on_a_surface(
    product: Image.Image, surfaces: Sequence[Image.Image], worn: Sequence[Image.Image], rng: np.random.Generator
) -> Photo:
    size = (240, int(rng.integers(200, 321)))

    def surface() -> Image.Image:
        if rng.random() < 1 / 3:
            garment = worn[int(rng.integers(len(worn)))]
            x, y, side = garment.width * 0.38, garment.height * 0.4, garment.width * rng.uniform(0.12, 0.24)
            return garment.resize(size, Image.Resampling.BICUBIC, (x, y, x + side, y + side))
        picture = surfaces[int(rng.integers(len(surfaces)))]
        side = rng.uniform(0.4, 0.95) * min(picture.size)
        x, y = (rng.uniform(0, extent - side) for extent in picture.size)
        part = picture.resize(size, Image.Resampling.BICUBIC, (x, y, x + side, y + side * 0.98))
        return part if rng.random() < 0.6 else part.transpose(Image.Transpose.ROTATE_90).resize(size)

    photo = surface()
    if rng.random() < 0.35:  # a second surface: the edge of a table, a cloth on a floor
        half = Image.new("L", size)
        (x1, x2), (y1, y2) = rng.uniform(0, size[0], 2), rng.uniform(0, size[1], 2)
        corners = [(x1, 0), (x2, size[1]), (size[0], size[1]), (size[0], 0)]
        ImageDraw.Draw(half).polygon(
            corners if rng.random() < 0.5 else [(0, y1), (size[0], y2), size, (0, size[1])], 255
        )
        photo.paste(surface(), mask=half.filter(ImageFilter.GaussianBlur(0.8)))
    product = product.rotate(float(rng.normal() * 12), Image.Resampling.BICUBIC, expand=True)
    scale = rng.uniform(0.4, 0.9) * min(size[0] / product.width, size[1] / product.height)
    product = product.resize([max(2, round(side * scale)) for side in product.size], Image.Resampling.LANCZOS)
    x, y = (int(rng.uniform(0, free - side)) for free, side in zip(size, product.size, strict=True))
    mask, shade = Image.new("L", size), Image.new("L", size)
    gain = rng.uniform(0.8, 1.1)
    mask.paste(product.getchannel("A"), (x, y))
    shade.paste(
        mask.point(lambda value: int(value * rng.uniform(0.3, 0.55))), (int(rng.normal() * 4), int(rng.integers(1, 9)))
    )
    photo.paste("black", mask=shade.filter(ImageFilter.GaussianBlur(rng.uniform(2, 7))))
    photo.paste(product.convert("RGB"), (x, y), mask.crop((x, y, x + product.width, y + product.height)))
    photo = photo.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 0.9)))
    photo = photo.point(lambda value: min(255, int(value * gain)))
    buffer = io.BytesIO()
    photo.save(buffer, "JPEG", quality=int(rng.integers(70, 93)))
    return Image.open(buffer).convert("RGB"), mask


def studio_photos(data: str, count: int, seed: int) -> list[Photo]:
    """``count`` whole studio shots of the test and validation splits, as they are, whose mask is certain."""
    photos = []
    for split in HELD_OUT_SPLITS:
        for product in read_products(data, split):
            image = product.open()
            if (mask := product_mask(image)) is not None:
                photos.append((image, Image.fromarray((mask * 255).astype(np.uint8))))
    return [photos[index] for index in np.random.default_rng(seed).permutation(len(photos))[:count]]


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
    parser.add_argument("--studio", metavar="DATA", help="measure on the studio shots of this catalogue, as they are")
    parser.add_argument("--surfaces", type=Path, metavar="FOLDER", help="and set on the photographs in this folder")
    parser.add_argument("--photos", help="draw a contact sheet of this catalogue's photos")
    parser.add_argument("--split", default="test")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0, help="chooses the photos")
    parser.add_argument("--out", type=Path, help="the contact sheet, of the photos on surfaces or of --photos")
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    count, seed = arguments.count, arguments.seed
    places: dict[str, Sequence[Photo]] = {}
    if arguments.synthetic:
        for place, busy in (("busy", 1.0), ("studio", 0.0)):
            places[place] = list(composites(arguments.synthetic, HELD_OUT, busy))
    if arguments.studio and arguments.surfaces:
        places["surfaces"] = real_photos(arguments.studio, arguments.surfaces, count, seed)
    elif arguments.studio:
        places["shots"] = studio_photos(arguments.studio, count, seed)
    write_json(measure(arguments.detectors, places), arguments.json)
    photos = [photo for photo, _ in places.get("surfaces", ())]
    if arguments.photos:
        photos = list(drawn_photos(arguments.photos, arguments.split, count, seed))
    if arguments.out and photos:
        names = [name for name in arguments.detectors if name != "none"]
        sheet(names, photos, columns=4).save(arguments.out)


if __name__ == "__main__":
    main()
