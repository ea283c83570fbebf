"""Draw products beside their captions, and what their texts say, as an evaluation of captioning saved them.

kaleidobert evaluate captioning DATA --model RUN --queries 500
python benchmarks/caption_sheet.py DATA --captions RUN/evaluation/captions-test-500-beams3.json --out sheet.png
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from textwrap import fill

from matplotlib.figure import Figure

from kaleidobert.data.readers import read_products

COLUMNS, WIDTH = 5, 38  # photos a row, letters a line


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--captions", type=Path, required=True)
    parser.add_argument("--split", default="test")
    parser.add_argument("--products", type=int, default=20, help="the first so many, which were drawn at random")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()

    rows = json.loads(arguments.captions.read_text())
    step = max(1, len(rows) // arguments.products)
    said = {row["id"]: row for row in rows[::step][: arguments.products]}
    figure = Figure(figsize=(4 * COLUMNS, 3.6 * -(-len(said) // COLUMNS)), layout="constrained")
    axes = list(figure.subplots(-(-len(said) // COLUMNS), COLUMNS, squeeze=False).flat)
    for cell in axes:
        cell.axis("off")
    shown = (product for product in read_products(arguments.data, arguments.split) if product.id in said)
    for cell, product in zip(axes, shown, strict=False):
        cell.imshow(product.open(0))
        row = said[product.id]
        lines = (fill(text, WIDTH, max_lines=3, placeholder=" …") for text in (row["caption"], f"({row['text']})"))
        cell.set_title("\n".join(lines), fontsize=11)
    figure.savefig(arguments.out, dpi=80)


if __name__ == "__main__":
    main()
