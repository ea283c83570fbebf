"""How often the patch that explains a word shows what the word describes, on a catalogue with known word regions.

kaleidobert index catalogue --split test --model RUN --store synthetic.store
python benchmarks/explaining.py catalogue --store synthetic.store

Each product's title is explained on its first photo. Hits and chance as in benchmarks/alignment.py, on the finest grid.
"""

from __future__ import annotations

from itertools import islice

import numpy as np

from alignment import area, shows, word_regions
from common import catalogue_parser, figure_text, times_chance
from kaleidobert.data.readers import read_products
from kaleidobert.search.ranker import Ranker


def main() -> None:
    parser = catalogue_parser(__doc__, "a catalogue made by kaleidobert synthesize")
    parser.add_argument("--store", required=True)
    parser.add_argument("--products", type=int, default=260)
    arguments = parser.parse_args()

    ranker = Ranker.open(arguments.store)
    levels = ranker.scorer.config.level_table
    grid = max(level.grid for level in levels)
    first = sum(level.patches for level in levels if level.grid < grid)
    outcomes: dict[str, list[tuple[bool, float]]] = {"parts": [], "the whole": []}
    for product in islice(read_products(arguments.data, arguments.split), arguments.products):
        regions = word_regions(product, 0, product.open(0), ranker.scorer.processor.image_processor)
        for evidence in ranker.explain(product.title, product.id, 0):
            if evidence.start in regions and evidence.patches:
                shown = shows(regions[evidence.start], grid)
                kind = "parts" if area(regions[evidence.start]) <= 0.25 else "the whole"
                outcomes[kind].append((bool(shown[evidence.patches[0].patch - first]), float(shown.mean())))
    for kind, found in outcomes.items():
        if found:
            print(summary(kind, found))


def summary(kind: str, found: list[tuple[bool, float]]) -> str:
    """One line on the hits, and the chances of a hit, of one kind of words."""
    hit, chance = 100 * np.mean(np.array(found, float), axis=0)
    times = figure_text(times_chance(hit, chance))
    return f"{kind}: {len(found)} words, hit {hit:.1f} %, chance {chance:.1f} %, {times} times"


if __name__ == "__main__":
    main()
