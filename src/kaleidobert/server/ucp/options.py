"""By what the variants of a product differ (colour, size), and which of them a selection leaves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from kaleidobert.data.facts import COLOUR, PERSON, fact_name
from kaleidobert.index.facet_column import value_key
from kaleidobert.index.records import Candidate
from kaleidobert.words import letters_of

# As in product feeds; what else differs (stock, margin, a code) is no choice of a shopper.
OPTIONS = ("size", "material", "fabric", "pattern", "length", "width", "agegroup")

Selection = Mapping[str, str]  # option -> value


def option_names(variants: Sequence[Candidate]) -> list[str]:
    """The attributes that shoppers choose by and that these variants do not all share."""
    names = dict.fromkeys(name for each in variants for name in each.attributes)
    chosen_by = [name for name in names if fact_name(name) in (COLOUR, PERSON) or letters_of(name) in OPTIONS]
    return [name for name in chosen_by if len(values_of(name, variants)) > 1]


def values_of(name: str, variants: Iterable[Candidate]) -> list[str]:
    """The different values of an option, in the order of the variants."""
    values = (each.attributes.get(name, "") for each in variants)
    return list({value_key(value): value for value in values if value}.values())


def selection_of(variant: Candidate, names: Iterable[str]) -> dict[str, str]:
    """The variant's own values of these options."""
    return {name: variant.attributes[name] for name in names if variant.attributes.get(name)}


def matching(variants: Iterable[Candidate], selection: Selection) -> list[Candidate]:
    """The variants that have all values of a selection."""
    return [
        each
        for each in variants
        if all(value_key(each.attributes.get(name, "")) == value_key(value) for name, value in selection.items())
    ]


def relaxed(variants: Sequence[Candidate], selection: Selection, preferences: Sequence[str]) -> dict[str, str]:
    """The selection without what no variant has, then without its least preferred options until a variant matches.

    ``preferences``: options that are kept longest, the most important first.
    """
    kept = {name: value for name, value in selection.items() if matching(variants, {name: value})}
    order = [*(name for name in preferences if name in kept), *(name for name in kept if name not in preferences)]
    while not matching(variants, kept):
        del kept[order.pop()]
    return kept
