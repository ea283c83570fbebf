"""Queries with the products that are right for them: made of a catalogue's facts, or judged by somebody in a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from kaleidobert.data.facts import FactTable
from kaleidobert.data.product import Product
from kaleidobert.data.short_queries import KINDS, NOBODY, worded
from kaleidobert.errors import InputError
from kaleidobert.files import parse_yaml
from kaleidobert.index.facet_column import value_key

MIN_RELEVANT, MAX_SHARE = 3, 0.5  # relevant products of a query: at least, and as a share of the store at most
JUDGED = "judged"  # the kind of queries in a file that names none


@dataclass(frozen=True)
class JudgedQuery:
    """A query, its kind, such as one of `KINDS`, and the ids of the relevant products."""

    text: str
    kind: str
    relevant: frozenset[str]


class _Judgement(BaseModel):
    """One entry of a file of judged queries."""

    model_config = ConfigDict(extra="forbid")

    query: str = Field(min_length=1)
    kind: str = JUDGED
    where: dict[str, str | list[str]] = {}
    ids: list[str] = []


def read_judged(file: Path, products: Sequence[Product]) -> tuple[list[JudgedQuery], list[str]]:
    """The judged queries of a YAML file that some of the products are right for, and the texts of the others.

    The file is a list of entries with ``query``, the right products' ``ids`` or, by name of category, subcategory or an
    attribute, the values that they have (``where``; of several values any, of several names all), and a ``kind`` to
    report them under. Raises ``InputError`` where it holds something else.
    """
    try:
        entries = TypeAdapter(list[_Judgement]).validate_python(parse_yaml(file.read_text("utf-8-sig")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{file}: cannot be read: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"{file}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    found, left_out = [], []
    for number, entry in enumerate(entries):
        if bool(entry.where) == bool(entry.ids):
            raise InputError(f"{file}: {number}: give {entry.query!r} either where or ids")
        if entry.kind == "all":
            raise InputError(f"{file}: {number}: kind: 'all' is the name of the total; choose another")
        right = {product.id for product in products if product.id in entry.ids or _has(product, entry.where)}
        if right:
            found.append(JudgedQuery(entry.query, entry.kind, frozenset(right)))
        else:
            left_out.append(entry.query)
    if not found:
        raise InputError(f"{file}: no product at hand is right for any of its {len(entries)} queries")
    return found, left_out


def _has(product: Product, where: Mapping[str, str | list[str]]) -> bool:
    """Whether a product has one of the values of each name; False without names."""
    labels = {**product.attributes, "category": product.category, "subcategory": product.subcategory}
    wanted = {name: [values] if isinstance(values, str) else values for name, values in where.items()}
    return bool(wanted) and all(
        name in labels and value_key(labels[name]) in map(value_key, values) for name, values in wanted.items()
    )


def judged_queries(products: Sequence[Product], count: int, seed: int = 0) -> list[JudgedQuery]:
    """Up to ``count`` different queries, as many of each kind as there are, with their relevant products."""
    facts = FactTable.of(*zip(*((each.category, each.subcategory, each.attributes) for each in products), strict=True))
    ids = np.array([each.id for each in products])
    rng = np.random.default_rng([seed, 11])
    found: dict[str, dict[tuple, JudgedQuery]] = {kind: {} for kind in KINDS}
    for row in rng.permutation(len(products)).tolist():
        own = facts.product(row)
        for kind, names in KINDS.items():
            if not all(own.get(name) and own[name] not in NOBODY for name in names):
                continue
            asked = facts.asked(row, names)
            relevant = facts.fitting(asked)
            if MIN_RELEVANT <= relevant.sum() <= MAX_SHARE * len(products):
                query = JudgedQuery(worded(own, names, rng), kind, frozenset(ids[relevant]))
                found[kind].setdefault(tuple(asked), query)
    return _evenly([list(each.values()) for each in found.values()], count)


def _evenly(groups: Sequence[list[JudgedQuery]], count: int) -> list[JudgedQuery]:
    """The first ``count`` of all groups, one of each in turn."""
    turns = max(map(len, groups), default=0)
    return [group[turn] for turn in range(turns) for group in groups if turn < len(group)][:count]
