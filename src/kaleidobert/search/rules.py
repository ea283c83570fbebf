"""A shop's own rules: synonyms, and what to pin, bury, boost, announce or redirect for some queries.

They are one YAML file, kept with each version of a store:

    synonyms:
      - words: [sneakers, trainers, gym shoes]     # each finds the others
      - word: trousers                             # finds these as well, but they do not find it
        finds: [chinos, slacks]
      - word: t shirt                              # counts less, like a typing error
        alternatives: [tee]
      - placeholder: <size>                        # stands in the products' texts for any of the values
        values: [xs, s, m, l, xl]
    rules:
      - query: red dress                           # all of its words, in any order; leave it out for all queries
        filters: [category=Apparel]                # those that the search must have
        pin: [10042, 10043]                        # product ids, first in this order
        bury: [20001]
        boost:
          - {filter: stock>0, by: 1}               # in nats of the match; below 0 to lower it
          - {number: margin, by: 0.5}              # this much for the highest number among the candidates
        banner: Summer sale
        redirect: https://shop.example/sale
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from kaleidobert.errors import InputError
from kaleidobert.files import parse_yaml
from kaleidobert.index.facet_column import FacetColumn, value_key
from kaleidobert.index.filters import Filters, parse_filters
from kaleidobert.index.operators import EQUAL, ID, LABELS
from kaleidobert.index.records import Candidate
from kaleidobert.words import MISSPELT, Lexicon, Terms, stems

MAX_BOOST = 20.0  # in nats
BURIED = -2 * MAX_BOOST  # below any boost
MAX_PHRASE = 6  # words of a phrase with synonyms
MAX_REPLACED = 8  # variants of one query by synonyms


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", coerce_numbers_to_str=True, str_strip_whitespace=True)


class Synonym(_Strict):
    """One of four kinds: ``words``; ``word`` with ``finds`` or ``alternatives``; ``placeholder`` with ``values``."""

    words: list[str] = []
    word: str = ""
    finds: list[str] = []
    alternatives: list[str] = []
    placeholder: str = ""
    values: list[str] = []

    @model_validator(mode="after")
    def _one_kind(self) -> Synonym:
        given = {name for name in type(self).model_fields if getattr(self, name)}
        if given not in ({"words"}, {"word", "finds"}, {"word", "alternatives"}, {"placeholder", "values"}):
            raise ValueError("give words, or word with finds or alternatives, or placeholder with values")
        if len(self.words) == 1:
            raise ValueError("words needs two or more")
        return self

    def replacements(self) -> list[tuple[str, str, float]]:
        """(phrase of a query, phrase that it finds as well, how far that counts)."""
        two_way = [(one, other, 1.0) for one in self.words for other in self.words if one != other]
        one_way = [(self.word, other, 1.0) for other in self.finds]
        less = [(self.word, other, MISSPELT) for other in self.alternatives]
        return [*two_way, *one_way, *less, *((value, self.placeholder, 1.0) for value in self.values)]


class Boost(_Strict):
    """Adds ``by`` to the match of products that pass a ``filter``, or up to it by a ``number``."""

    filter: str = ""
    number: str = ""
    by: float = Field(ge=-MAX_BOOST, le=MAX_BOOST)

    @model_validator(mode="after")
    def _one_of_both(self) -> Boost:
        if bool(self.filter) == bool(self.number):
            raise ValueError("give either filter or number")
        if self.filter:
            parse_filters([self.filter])
        return self


class Rule(_Strict):
    """What happens to searches with the words of ``query`` and these ``filters``."""

    query: str = ""
    filters: list[str] = []
    pin: list[str] = []
    bury: list[str] = []
    boost: list[Boost] = []
    banner: str = ""
    redirect: str = ""

    @field_validator("filters")
    @classmethod
    def _conditions(cls, filters: list[str]) -> list[str]:
        parse_filters(filters)
        return filters

    @field_validator("redirect")
    @classmethod
    def _address(cls, redirect: str) -> str:
        if redirect and not redirect.startswith(("https://", "http://", "/")):
            raise ValueError("use an address that starts with https://, http:// or /")
        return redirect

    @field_validator("query")
    @classmethod
    def _words(cls, query: str) -> str:
        if query and not stems(query):
            raise ValueError(f"query {query!r} has no words: leave it out for all searches")
        return query

    def applies(self, words: Sequence[str], filters: Filters) -> bool:
        """Whether a search with these stems has all of the query's, in any order or as one word, and the filters."""
        own = stems(self.query)
        asked = set(own) <= set(words) or "".join(own) in _phrases(words)
        return asked and _keys(parse_filters(self.filters)) <= _keys(filters)


class Rules(_Strict):
    """A store's synonyms and rules."""

    synonyms: list[Synonym] = []
    rules: list[Rule] = []


@dataclass(frozen=True)
class Effects:
    """What the rules that apply to a search do, in the order of the file."""

    pin: tuple[str, ...] = ()
    bury: tuple[str, ...] = ()
    boost: tuple[Boost, ...] = ()
    banner: str = ""
    redirect: str = ""


@dataclass(frozen=True)
class ShopRules:
    """The rules of one version of a store, ready to apply."""

    rules: Rules = field(default_factory=Rules)

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> ShopRules:
        return cls(Rules.model_validate(dict(stored)))

    def effects(self, text: str, filters: Filters) -> Effects:
        """Those of all rules that apply; the first banner and redirect count."""
        if not self.rules.rules:
            return Effects()
        words = stems(text)
        found = [rule for rule in self.rules.rules if rule.applies(words, filters)]
        return Effects(
            pin=tuple(dict.fromkeys(each for rule in found for each in rule.pin)),
            bury=tuple(each for rule in found for each in rule.bury),
            boost=tuple(each for rule in found for each in rule.boost),
            banner=next((rule.banner for rule in found if rule.banner), ""),
            redirect=next((rule.redirect for rule in found if rule.redirect), ""),
        )

    def terms(self, lexicon: Lexicon, text: str) -> Terms:
        """The text's terms, with those of its variants by synonyms."""
        variants = [(lexicon.terms(words), counts) for words, counts in self._variants(text)]
        return lexicon.terms(text).with_variants(variants)

    def _variants(self, text: str) -> list[tuple[str, float]]:
        """The text with a phrase replaced by a synonym, and how far each variant counts."""
        if not self.rules.synonyms:
            return []
        words, found = stems(text), []
        written = _phrases(words)
        for synonym in self.rules.synonyms:
            for phrase, other, counts in synonym.replacements():
                wanted = "".join(stems(phrase))
                for first, end in written.get(wanted, ()):
                    found.append((" ".join([*words[:first], other, *words[end:]]), counts))
        return found[:MAX_REPLACED]


def boosts(effects: Effects, candidates: Sequence[Candidate], scale: int) -> np.ndarray:
    """What the effects add to the match of each candidate, (N,) in nats; numbers are scaled by the first ``scale``."""
    found = np.array([BURIED if each.id in effects.bury else 0.0 for each in candidates])
    for boost in effects.boost:
        if boost.filter:
            found += boost.by * passing(parse_filters([boost.filter]), candidates)
            continue
        numbers = _column(boost.number, candidates).numbers
        first = numbers[:scale][np.isfinite(numbers[:scale])]
        if len(first):
            low, high = first.min(), first.max()
            share = (numbers - low) / (high - low) if high > low else np.ones(len(numbers))
            found += boost.by * np.nan_to_num(share.clip(0, 1))
    return found


def passing(filters: Filters, candidates: Sequence[Candidate]) -> np.ndarray:
    """Which candidates (N,) pass."""
    masks = [condition.mask(_column(condition.name, candidates)) for condition in filters.conditions]
    return np.logical_and.reduce(masks) if masks else np.ones(len(candidates), bool)


def parse_rules(text: str, source: object) -> Rules:
    """The rules of a YAML file. Raises ``InputError`` that says where it is wrong."""
    try:
        content = parse_yaml(text)
    except yaml.YAMLError as error:
        raise InputError(f"{source}: not valid YAML: {' '.join(str(error).split())}") from None
    try:
        return Rules.model_validate({} if content is None else content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        reason = first["msg"].removeprefix("Value error, ")
        raise InputError(f"{source}: {place + ': ' if place else ''}{reason}") from None


def _phrases(words: Sequence[str]) -> dict[str, list[tuple[int, int]]]:
    """Where phrases of up to ``MAX_PHRASE`` words stand, by their words joined: "t shirt" and "t-shirt" alike."""
    found: dict[str, list[tuple[int, int]]] = {}
    for first in range(len(words)):
        for end in range(first + 1, min(first + MAX_PHRASE, len(words)) + 1):
            found.setdefault("".join(words[first:end]), []).append((first, end))
    return found


def _keys(filters: Filters) -> set[tuple]:
    """The conditions, those of equality by `value_key`."""
    return {
        (each.name, each.operator, value_key(operand) if each.operator == EQUAL else operand)
        for each in filters.conditions
        for operand in each.operands
    }


def _column(name: str, candidates: Sequence[Candidate]) -> FacetColumn:
    values = {}
    for row, each in enumerate(candidates):
        value = getattr(each, name) if name in (*LABELS, ID) else each.attributes.get(name)
        if value:
            values[row] = value
    return FacetColumn.of(values, len(candidates))
