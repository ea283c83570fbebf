"""Short queries made of a product's own facts, as shoppers type them: "black flats", "watches for men"."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from kaleidobert.data.facts import BRAND, CATEGORY, COLOUR, PERSON, SUBCATEGORY, TYPE, USAGE

# Kind -> the facts it names, in the order of their words.
KINDS: dict[str, tuple[str, ...]] = {
    "type": (TYPE,),
    "colour + type": (COLOUR, TYPE),
    "person + type": (PERSON, TYPE),
    "person + colour + type": (PERSON, COLOUR, TYPE),
    "brand + type": (BRAND, TYPE),
    "use + type": (USAGE, TYPE),
}
LABELS, FACTS = "label", "facts"  # further kinds: one label or fact alone, and two or three facts at random
ALONE = 3  # one label or fact alone is so many times as frequent as any other kind: it is what a shop's menu names
NOBODY = {"unisex", "all", "unknown", "none"}  # persons that nobody types
TYPING_ERRORS = 0.1  # share of queries with one
MIN_MISTYPED = 4  # letters of a word with a typing error
ALPHABET = "abcdefghijklmnopqrstuvwxyz"


class ShortQuery(NamedTuple):
    """A query, and the facts of the product that it names: any product with all of these fits it as well."""

    text: str
    facts: tuple[str, ...]


def short_query(facts: Mapping[str, str], rng: np.random.Generator) -> ShortQuery | None:
    """A query of a random kind for a product with these facts; None for a product without any."""
    usable = {name: value for name, value in facts.items() if not (name == PERSON and value in NOBODY)}
    kinds = [kind for kind, named in KINDS.items() if all(name in usable for name in named)]
    kinds += [FACTS, *ALONE * [LABELS]] if usable else []
    if not kinds:
        return None
    kind = kinds[rng.integers(len(kinds))]
    names = list(KINDS.get(kind) or _drawn(usable, kind, rng))
    text = worded(usable, names, rng)
    return ShortQuery(mistyped(text, rng) if rng.random() < TYPING_ERRORS else text, tuple(names))


def worded(facts: Mapping[str, str], names: Sequence[str], rng: np.random.Generator) -> str:
    """The named facts as a query: "red dresses", "watches for men", "men's watches"."""
    others = " ".join(facts[name] for name in names if name != PERSON)
    if PERSON not in names:
        return others
    person = facts[PERSON]
    forms = [f"{person} {others}", f"{others} for {person}", f"{others} {person}"]
    if person.isascii():
        forms.append(f"{person}'{'' if person.endswith('s') else 's'} {others}")
    return forms[rng.integers(len(forms))].strip()


def mistyped(text: str, rng: np.random.Generator) -> str:
    """The text with one letter of a word left out, doubled, replaced or swapped with the next."""
    places = [
        place
        for word in re.finditer(rf"[^\W\d_]{{{MIN_MISTYPED},}}", text)
        for place in range(word.start() + 1, word.end() - 1)
    ]
    if not places:
        return text
    place = places[rng.integers(len(places))]
    before, letter, after = text[:place], text[place], text[place + 1 :]
    changes = [before + after, before + 2 * letter + after, before + after[0] + letter + after[1:]]
    changes.append(before + ALPHABET[rng.integers(len(ALPHABET))] + after)
    return changes[rng.integers(len(changes))]


def _drawn(facts: Mapping[str, str], kind: str, rng: np.random.Generator) -> list[str]:
    """One label or fact, or two or three facts in any order; of type and labels one at most."""
    labels = [name for name in (TYPE, SUBCATEGORY, CATEGORY) if name in facts]
    others = [name for name in facts if name not in labels]
    if kind == LABELS:
        return [(labels + others)[rng.integers(len(labels + others))]]
    chosen = [labels[rng.integers(len(labels))]] if labels else []
    chosen += rng.permutation(others).tolist()[: rng.integers(1, 4 - len(chosen))]
    return rng.permutation(chosen).tolist()
