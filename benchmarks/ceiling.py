"""How high retrieval can get: how often a distractor fits a text as well as the text's own product does.

python benchmarks/ceiling.py DATA --queries 1000

A product fits a text where it has every attribute that the text names (colour, kind, gender, usage ...: whatever
the catalogue's columns hold). Who knows attributes alone cannot tell those that fit from the partner, and ranks it
first one time in 1 + fits. Three readers: one that knows attributes, one that also tells the brand (the words before
the first attribute), and one that tells every word (a distractor fits whose own text has all of them).
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from kaleidobert.data.product import Product
from kaleidobert.data.readers import read_products
from kaleidobert.evaluation.metrics.retrieval import draw_candidates
from kaleidobert.evaluation.protocols import choose_queries


def words_of(text: str) -> list[str]:
    """Lower case, "t-shirts" as "tshirt": what singular and plural, with and without hyphen, share."""
    return [word.removesuffix("s") for word in re.sub(r"[-']", "", text.lower()).split()]


class Reading:
    """What a product's text says: its words, the attributes that it names, and the brand before them."""

    def __init__(self, product: Product) -> None:
        self.words = words_of(product.text)
        values = {name: words_of(value) for name, value in product.attributes.items()}
        self.named = {name: product.attributes[name] for name, words in values.items() if set(words) <= set(self.words)}
        spoken = {word for name in self.named for word in values[name]}
        first = next((place for place, word in enumerate(self.words) if word in spoken), len(self.words))
        self.brand = self.words[:first]
        self.attributes: Mapping[str, str] = product.attributes


def has_attributes(text: Reading, product: Reading) -> bool:
    return all(product.attributes.get(name) == value for name, value in text.named.items())


def has_brand(text: Reading, product: Reading) -> bool:
    return has_attributes(text, product) and product.words[: len(text.brand)] == text.brand


def has_words(text: Reading, product: Reading) -> bool:
    return set(text.words) <= set(product.words)


READERS = {"attributes": has_attributes, "attributes and brand": has_brand, "every word": has_words}


def ceilings(
    caption_log_likelihood: list[Reading], table: np.ndarray, fits: Callable[[Reading, Reading], bool]
) -> dict[str, float]:
    """Expected R@1 in percent, both ways, and the share of queries with a distractor that fits."""
    shares, tied = {"TIR": [], "ITR": []}, []
    for own, *others in table.tolist():
        candidates = [caption_log_likelihood[other] for other in others if other >= 0]
        asked = sum(fits(caption_log_likelihood[own], other) for other in candidates)
        shares["TIR"].append(1 / (1 + asked))
        shares["ITR"].append(1 / (1 + sum(fits(other, caption_log_likelihood[own]) for other in candidates)))
        tied.append(asked > 0)
    figures = {f"{way} R@1": 100 * float(np.mean(each)) for way, each in shares.items()}
    return figures | {"texts with a second fit": 100 * float(np.mean(tied))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--split", default="test")
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0, help="as of `kaleidobert evaluate`, whose candidates these are")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()

    products = list(read_products(arguments.data, arguments.split))
    asked = choose_queries(len(products), arguments.queries, arguments.seed)
    labels = ([getattr(product, name) for product in products] for name in ("text", "category", "subcategory"))
    table = draw_candidates(*labels, asked, 100, arguments.seed)
    caption_log_likelihood = [Reading(product) for product in products]
    figures = {name: ceilings(caption_log_likelihood, table, fits) for name, fits in READERS.items()}
    for name, row in figures.items():
        print(f"{name}:", ", ".join(f"{key} {value:.1f}" for key, value in row.items()))
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
