"""Contact sheets for judging results by eye.

python benchmarks/sheets.py search    --store shop.store --queries benchmarks/queries.txt --out sheet.png
python benchmarks/sheets.py captions  DATA --captions RUN/evaluation/captions-test-500-beams3.json --out sheet.png
python benchmarks/sheets.py alignment DATA --align runs/align --out sheet.png

search: one row of hits per query, and the median milliseconds of each stage. captions: photos with the captions that
`kaleidobert evaluate captioning` saved, and the products' own texts in brackets. alignment: each word's patch of the
finest grid, outlined in the word's colour.
"""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from statistics import median
from textwrap import fill

import numpy as np
import torch
from matplotlib.figure import Figure

from aligned_products import draw_products
from kaleidobert.alignment.generator import SOURCES
from kaleidobert.data.readers import read_products
from kaleidobert.model import KaleidoBertImageProcessor
from kaleidobert.model.image_processing import to_pixel_values
from kaleidobert.scoring.ranking import RERANK
from kaleidobert.search.contact_sheet import result_sheets
from kaleidobert.search.query import Query
from kaleidobert.search.ranker import STAGES, Ranker
from kaleidobert.training.align import load_generator

COLUMNS, WIDTH = 5, 38  # of a sheet of captions: photos per row, characters per line


def search_sheet(arguments: Namespace) -> None:
    ranker = Ranker.open(arguments.store)
    queries = [line.strip() for line in arguments.queries.read_text().splitlines() if line.strip()]
    answers = [ranker.answer(Query(query, top=arguments.top, rerank=arguments.rerank)) for query in queries]
    pairs = [(query, answer.hits) for query, answer in zip(queries, answers, strict=True)]
    result_sheets(pairs, arguments.top).save(arguments.out)
    for stage in STAGES:
        print(f"{stage}: median {1000 * median(answer.seconds[stage] for answer in answers):.1f} ms")


def caption_sheet(arguments: Namespace) -> None:
    rows = json.loads(arguments.captions.read_text())
    step = max(1, len(rows) // arguments.products)
    chosen = {row["id"]: row for row in rows[::step][: arguments.products]}
    height = -(-len(chosen) // COLUMNS)
    figure = Figure(figsize=(4 * COLUMNS, 3.6 * height), layout="constrained")
    cells = list(figure.subplots(height, COLUMNS, squeeze=False).flat)
    for cell in cells:
        cell.axis("off")
    products = (product for product in read_products(arguments.data, arguments.split) if product.id in chosen)
    for cell, product in zip(cells, products, strict=False):
        row = chosen[product.id]
        cell.imshow(product.open(0))
        lines = (fill(text, WIDTH, max_lines=3, placeholder=" …") for text in (row["caption"], f"({row['text']})"))
        cell.set_title("\n".join(lines), fontsize=11)
    figure.savefig(arguments.out, dpi=80)


def alignment_sheet(arguments: Namespace) -> None:
    processor = KaleidoBertImageProcessor.from_pretrained(arguments.align)
    generator = load_generator(arguments.align, arguments.source)
    products = list(islice(read_products(arguments.data, arguments.split), arguments.products))
    locked = torch.from_numpy(np.stack([processor.lock(product.open()) for product in products]))
    pixels, texts = to_pixel_values(locked), [product.text for product in products]
    draw_products(list(zip(pixels, texts, generator(pixels, texts), strict=True))).save(arguments.out)


def main(given: Sequence[str] | None = None) -> None:
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    sheets = parser.add_subparsers(required=True)
    search, captions, alignment = (sheets.add_parser(name) for name in ("search", "captions", "alignment"))

    search.set_defaults(draw=search_sheet)
    search.add_argument("--store", required=True)
    search.add_argument("--queries", type=Path, required=True, help="a text file, one query per line")
    search.add_argument("--rerank", type=int, default=RERANK, help="candidates that the joint model re-ranks")
    search.add_argument("--top", type=int, default=8, help="hits per query")

    captions.set_defaults(draw=caption_sheet)
    captions.add_argument("--captions", type=Path, required=True, help="what kaleidobert evaluate captioning saved")
    captions.add_argument("--products", type=int, default=20, help="evenly spaced over the file")

    alignment.set_defaults(draw=alignment_sheet)
    alignment.add_argument("--align", type=Path, required=True, help="the folder that kaleidobert align wrote")
    alignment.add_argument("--source", choices=SOURCES, default="teacher")
    alignment.add_argument("--products", type=int, default=24, help="the first of the split")

    for each in (captions, alignment):
        each.add_argument("data", help="the catalogue: a file or a folder")
        each.add_argument("--split", default="test")
    for each in (search, captions, alignment):
        each.add_argument("--out", type=Path, required=True, help="the picture to write")
    arguments = parser.parse_args(given)
    arguments.draw(arguments)


if __name__ == "__main__":
    main()
