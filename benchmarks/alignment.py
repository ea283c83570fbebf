"""How often an aligned patch shows what its word describes, on a synthetic catalogue with known word regions.

kaleidobert synthesize catalogue --products 2600 --seed 11
kaleidobert align catalogue --out runs/align --max-minutes 12
python benchmarks/alignment.py catalogue --align runs/align --json alignment.json

A patch is a hit if it overlaps the word's region by at least half of the smaller of the two. ``chance`` is the share of
the level's patches that would be hits, for the same pairs. Words whose region fills more than a quarter of the locked
portion (colours, materials, product names) are counted separately, as chance is high for them. ``on product`` is a
stricter baseline: a patch drawn in proportion to the product area it shows. ``covered`` is the share of words with a
visible region that have a pair.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.table import Table

from common import catalogue_parser, figure_text, times_chance, write_json
from kaleidobert.alignment.attention_maps import patch_masses
from kaleidobert.alignment.generator import GRIDS, MAPS, SOURCES, AlignedPair, AlignmentGenerator
from kaleidobert.alignment.matching import content_words
from kaleidobert.data.product import Product
from kaleidobert.data.readers import read_products
from kaleidobert.levels import Level, patch_boxes
from kaleidobert.model import KaleidoBertImageProcessor
from kaleidobert.model.image_processing import to_pixel_values
from kaleidobert.training.align import load_generator
from kaleidobert.vision.locked_portion import locked_window
from kaleidobert.vision.saliency.detectors import DETECTORS

KINDS = {"parts": (0.0, 0.25), "smallest parts": (0.0, 0.1), "the whole": (0.25, 1.01)}  # region's share of the portion
BATCH = 32


class Outcome(NamedTuple):
    """One pair: whether it is a hit, and the probability that a random patch is one: of all, or on the product."""

    word: str
    level: int
    area: float
    score: float
    hit: bool
    chance: float
    product_chance: float


def main() -> None:
    parser = catalogue_parser(__doc__, "a catalogue made by kaleidobert synthesize")
    parser.add_argument("--align", type=Path, required=True, help="the folder that kaleidobert align wrote")
    parser.add_argument("--products", type=int, default=260)
    parser.add_argument("--lifts", default="0,1.5,2,3,4", help="thresholds on a patch's lift")
    parser.add_argument(
        "--words", type=int, default=0, help="also list this many frequent words of parts (level 5, teacher)"
    )
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()

    torch.set_grad_enabled(False)
    lifts = [float(lift) for lift in arguments.lifts.split(",")]
    image_processor = KaleidoBertImageProcessor.from_pretrained(arguments.align)
    products = list(islice(read_products(arguments.data, arguments.split), arguments.products))
    figures: list[dict] = []
    for source in SOURCES:
        for maps in MAPS:
            generator = load_generator(arguments.align, source, least_lift=0.0, maps=maps)
            outcomes, areas = measure(products, generator, image_processor)
            for lift in lifts:
                figures += rows({"source": source, "maps": maps}, lift, outcomes, np.array(areas))
            if arguments.words and (source, maps) == ("teacher", "attentions"):
                show_words(outcomes, arguments.words)
    show(figures)
    write_json(figures, arguments.json)


def measure(
    products: list[Product], generator: AlignmentGenerator, image_processor: KaleidoBertImageProcessor
) -> tuple[list[Outcome], list[float]]:
    """The outcome of every pair whose word has a region in the view, and the areas of all words' regions."""
    outcomes: list[Outcome] = []
    areas: list[float] = []
    views = [(product, view) for product in products for view in range(len(product.images))]
    for start in range(0, len(views), BATCH):
        batch = views[start : start + BATCH]
        photos = [product.open(view) for product, view in batch]
        locked = torch.from_numpy(np.stack([image_processor.lock(photo) for photo in photos]))
        found = generator(to_pixel_values(locked), [product.text for product, _ in batch])
        for (product, view), photo, portion, pairs in zip(batch, photos, locked, found, strict=True):
            regions = word_regions(product, view, photo, image_processor)
            areas += [area(box) for box in regions.values()]
            mask = DETECTORS[image_processor.saliency](Image.fromarray(portion.numpy()))
            outcomes += judged(pairs, regions, mask / mask.sum() if mask.any() else np.full_like(mask, 1 / mask.size))
    return outcomes, areas


def word_regions(
    product: Product, view: int, photo: Image.Image, image_processor: KaleidoBertImageProcessor
) -> dict[int, np.ndarray]:
    """Boxes in the locked portion, clipped to it, of the content words that have a region, by their first character.

    A phrase may occur several times in the text. Longer phrases take precedence.
    """
    width, height = photo.size
    left, top, right, bottom = locked_window(image_processor.locked_box(photo)[0], image_processor.keep_aspect)
    words = content_words(product.text)
    found: dict[int, np.ndarray] = {}
    for region in sorted(product.regions[view], key=lambda region: -len(region.word)):
        x1, y1, x2, y2 = region.box
        box = np.array([x1 * width - left, y1 * height - top, x2 * width - left, y2 * height - top])
        box = np.clip(box / np.array([right - left, bottom - top] * 2), 0, 1)
        if area(box) > 0:
            for phrase in re.finditer(rf"(?<![\w-]){re.escape(region.word)}(?![\w-])", product.text, re.IGNORECASE):
                for word in words:
                    if phrase.start() <= word.start and word.end <= phrase.end():
                        found.setdefault(word.start, box)
    return found


def judged(pairs: list[AlignedPair], regions: dict[int, np.ndarray], product: np.ndarray) -> Iterator[Outcome]:
    """Outcomes of the pairs whose word has a region; ``product`` (S, S) is uniform over the product and sums to 1."""
    for pair in pairs:
        if pair.word.start in regions:
            box = regions[pair.word.start]
            shown = shows(box, pair.level)
            word = pair.word.text.lower()
            chances = shown.mean(), float(patch_masses(product, pair.level).flatten() @ shown)
            yield Outcome(word, pair.level, area(box), pair.score / pair.match, shown[pair.patch], *chances)


def shows(box: np.ndarray, grid: int) -> np.ndarray:
    """(n * n,) bool: which patches overlap the box by at least half of the smaller of the two."""
    patches = patch_boxes([Level(grid)])
    sides = np.minimum(patches[:, 2:], box[2:]) - np.maximum(patches[:, :2], box[:2])
    return np.clip(sides, 0, None).prod(axis=1) >= 0.5 * min(area(box), 1 / grid**2)


def area(box: np.ndarray) -> float:
    return float((box[2] - box[0]) * (box[3] - box[1]))


def rows(names: dict[str, str], lift: float, outcomes: list[Outcome], areas: np.ndarray) -> Iterator[dict]:
    """One row per kind of word and level: percentages, and the ratio of hits to chance."""
    for kind, (least, most) in KINDS.items():
        words = ((areas > least) & (areas <= most)).sum()
        for level in GRIDS:
            own = [o for o in outcomes if o.level == level and o.score >= lift and least < o.area <= most]
            if own:
                hit = 100 * float(np.mean([each.hit for each in own]))
                chance = 100 * float(np.mean([each.chance for each in own]))
                row = {**names, "words": kind, "level": level, "least_lift": lift, "pairs": len(own)}
                row |= {"covered": 100 * len(own) / words, "hit": hit, "chance": chance}
                row["ratio"] = times_chance(hit, chance)
                row["on product"] = 100 * float(np.mean([each.product_chance for each in own]))
                yield {name: round(value, 2) if isinstance(value, float) else value for name, value in row.items()}


def show(figures: list[dict]) -> None:
    if not figures:
        Console().print("no pair of a word with a region")
        return
    table = Table(*figures[0])
    for row in figures:
        table.add_row(*("–" if value is None else str(value) for value in row.values()))
    Console(width=120).print(table)


def show_words(outcomes: list[Outcome], count: int) -> None:
    """The most frequent words of parts."""
    by_word = defaultdict(list)
    for each in outcomes:
        if each.area <= KINDS["parts"][1] and each.level == 5:
            by_word[each.word].append((each.hit, each.chance, each.score))
    table = Table("word", "pairs", "hit", "chance", "ratio", "lift")
    for word, values in sorted(by_word.items(), key=lambda item: -len(item[1]))[:count]:
        hit, chance, lift = np.mean(values, axis=0)
        ratio = figure_text(times_chance(hit, chance))
        table.add_row(word, str(len(values)), f"{hit:.2f}", f"{chance:.2f}", ratio, f"{lift:.1f}")
    Console().print(table)


if __name__ == "__main__":
    main()
