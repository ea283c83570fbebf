"""What a run's vectors mistake: of the texts whose first photo is a wrong one, how often brand, colour ... differ.

python benchmarks/mistakes.py DATA --model runs/mini --queries 1000

The candidates are those of `kaleidobert evaluate retrieval --protocol 101`. A wrong photo differs in an attribute
that the text names where its product has another value, and in the brand where its text does not begin with the same
words. What differs in neither, the text alone hardly tells apart.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import torch

from ceiling import Reading
from kaleidobert.data.readers import read_products
from kaleidobert.evaluation.retrieval import drawn_table, encode, vector_scores
from kaleidobert.model import load_run
from kaleidobert.training.dataset import prepare


def differences(text: Reading, product: Reading) -> list[str]:
    """Of what the text names, what the product has otherwise: "brand" and names of attributes."""
    other_brand = product.words[: len(text.brand)] != text.brand
    return ["brand"] * other_brand + [
        name for name, value in text.named.items() if product.attributes.get(name) != value
    ]


def mistakes(caption_log_likelihood: Sequence[Reading], asked: Sequence[int], first: Sequence[int]) -> dict[str, float]:
    """Percentages of all texts: with a wrong first photo, and of these differing in each, in several, or in nothing."""
    pairs = [(text, photo) for text, photo in zip(asked, first, strict=True) if text != photo]
    wrong = [differences(caption_log_likelihood[text], caption_log_likelihood[photo]) for text, photo in pairs]
    count = Counter(name for names in wrong for name in names)
    count["nothing named"] = sum(not names for names in wrong)
    count["several"] = sum(len(names) > 1 for names in wrong)
    return {"wrong first": 100 * len(wrong) / len(asked)} | {
        name: 100 * number / max(1, len(wrong)) for name, number in count.most_common()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--split", default="test")
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0, help="as of `kaleidobert evaluate`, whose candidates these are")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()

    model, processor = load_run(arguments.model)
    catalogue = prepare(arguments.data, arguments.split, processor.image_processor)
    products = {product.id: product for product in read_products(arguments.data, arguments.split)}
    caption_log_likelihood = [Reading(products[product]) for product in catalogue.ids]
    table = drawn_table(catalogue, "101", arguments.queries, arguments.seed)
    scores, _ = vector_scores(model, encode(model, processor, catalogue), table)
    best = scores.masked_fill(torch.from_numpy(table < 0), float("-inf")).argmax(dim=1).numpy()
    figures = mistakes(caption_log_likelihood, table[:, 0].tolist(), table[range(len(table)), best].tolist())
    for name, value in figures.items():
        print(f"{name}: {value:.1f} %")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
