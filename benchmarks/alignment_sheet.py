"""Draw the aligned words of some products: each word's patch of the finest grid, outlined in the word's colour.

python benchmarks/alignment_sheet.py DATA --align runs/align --out sheet.png
"""

from __future__ import annotations

import argparse
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from kaleidobert.alignment.drawing import draw_products
from kaleidobert.alignment.generator import SOURCES
from kaleidobert.data.readers import read_products
from kaleidobert.model import KaleidoBertImageProcessor
from kaleidobert.model.image_processing import to_pixel_values
from kaleidobert.training.align import load_generator


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--align", type=Path, required=True, help="the folder that kaleidobert align wrote")
    parser.add_argument("--out", type=Path, required=True, help="the picture to write")
    parser.add_argument("--source", choices=SOURCES, default="teacher")
    parser.add_argument("--split", default="test")
    parser.add_argument("--skip", type=int, default=0)
    parser.add_argument("--products", type=int, default=24)
    arguments = parser.parse_args()

    processor = KaleidoBertImageProcessor.from_pretrained(arguments.align)
    generator = load_generator(arguments.align, arguments.source)
    stop = arguments.skip + arguments.products
    products = list(islice(read_products(arguments.data, arguments.split), arguments.skip, stop))
    locked = torch.from_numpy(np.stack([processor.lock(product.open()) for product in products]))
    pixels, texts = to_pixel_values(locked), [product.text for product in products]
    draw_products(list(zip(pixels, texts, generator(pixels, texts), strict=True))).save(arguments.out)


if __name__ == "__main__":
    main()
