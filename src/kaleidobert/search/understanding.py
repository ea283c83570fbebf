"""What a text asks for beyond its words: what to leave out, a range of prices, and values of the catalogue's facets.

"red dress without stripes under 50" is a search for "red dress" that avoids stripes, at prices up to 50, and prefers
products whose colour is red. Prices become a filter only where products have numeric prices; nothing else filters.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from kaleidobert.data.facts import BRAND, COLOUR, PERSON, TYPE, USAGE, fact_name
from kaleidobert.index.facet_column import number, number_text, numeric
from kaleidobert.index.filters import NO_FILTERS, Filters, parse_filters
from kaleidobert.index.operators import LABELS
from kaleidobert.index.protocol import ProductIndex
from kaleidobert.search.query import Query
from kaleidobert.words import STOP_WORDS, folded, stems

PRICES = ("price", "saleprice", "currentprice", "preis", "prix", "precio", "prezzo", "prijs", "preco", "pris", "cena")
PREFERRED = (*LABELS, TYPE, COLOUR, PERSON, BRAND, USAGE, "size")  # facets whose values are looked for in a text
MAX_VALUES = 5000  # of a facet
LONGEST = 4  # words of a value
# "no" and "not" refuse one word, the others up to two.
REFUSALS = re.compile(
    r"(?<!\w)(?P<short>no|not|non|kein|keine|pas de)\s+(?P<one>[^\W\d_][\w'’-]*)"
    r"|(?<!\w)(?:without|w/o|excluding|except|minus|ohne|sans|sin|senza|zonder|sem|utan)(?:\s+(?:any|a|an|the))?"
    r"\s+(?P<first>[^\W\d_][\w'’-]*)(?:\s+(?P<second>[^\W\d_][\w'’-]*))?",
    re.IGNORECASE,
)
MARK = r"(?:[$€£¥₹]|\b(?:usd|eur|euros?|gbp|pounds?|dollars?|inr|rupees?|rs)\b\.?)"
AMOUNT = rf"(?:{MARK}\s*)?[0-9]{{1,7}}(?:[.,][0-9]{{1,2}})?(?![0-9])(?:\s*{MARK})?"
NO_UNIT = r"(?!\s*(?:%|years?|months?|cm|mm|m|inch(?:es)?|ml|l|g|kg|packs?|pieces?|pairs?)\b)"
BETWEEN = re.compile(
    rf"(?P<word>\b(?:between|from|zwischen|entre)\s+)?(?P<low>{AMOUNT})\s*(?:to|and|-|–|bis|und|et|y|a)\s*"
    rf"(?P<high>{AMOUNT}){NO_UNIT}",
    re.IGNORECASE,
)
AT_MOST = re.compile(
    r"(?:\b(?:under|below|less than|cheaper than|up to|at most|max(?:imum)?|unter|bis(?: zu)?|moins de|menos de)\s+"
    r"|<=?\s*)"
    rf"(?P<high>{AMOUNT}){NO_UNIT}",
    re.IGNORECASE,
)
AT_LEAST = re.compile(
    r"(?:\b(?:over|above|more than|at least|min(?:imum)?|über|plus de|más de)\s+|>=?\s*)"
    rf"(?P<low>{AMOUNT}){NO_UNIT}",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Understood:
    """What was understood of a text.

    text: the rest of it. avoid: phrases that hits should not match. filters: the range of prices. preferred: facets'
    names and values that hits should have if possible.
    """

    text: str
    avoid: tuple[str, ...] = ()
    filters: Filters = NO_FILTERS
    preferred: tuple[tuple[str, str], ...] = ()

    def applied_to(self, query: Query) -> Query:
        """The query with what was understood beside its own conditions."""
        avoid = ", ".join(filter(None, [query.avoid.strip(), *self.avoid]))
        parts = [*query.filters.to_strings(), *self.filters.to_strings()]
        kept = tuple(each for each in self.preferred if f"{each[0]}={each[1]}" not in query.ignore)
        return replace(query, text=self.text, avoid=avoid, filters=parse_filters(parts), preferred=kept)


class QueryUnderstanding:
    """Understands texts by the facets of one version of an index."""

    def __init__(self, index: ProductIndex) -> None:
        names = index.filter_names()
        facets = index.facets(names=names)
        self._price = next((name for name in names if _letters(name) in PRICES and _priced(facets.get(name, ()))), "")
        self._values: dict[tuple[str, ...], tuple[str, str]] = {}
        for name in sorted((each for each in names if _preferred(each)), key=_order):
            for value, _ in facets.get(name, ())[:MAX_VALUES]:
                words = tuple(stems(value))
                if 0 < len(words) <= LONGEST and not set(words) <= STOP_WORDS and number(value) is None:
                    self._values.setdefault(words, (name, value))

    def understand(self, text: str) -> Understood:
        """A text that would have no words left is searched for as it is."""
        rest, filters = self._without_prices(text)
        rest, avoid = self._without_refusals(rest)
        if not any(word not in STOP_WORDS for word in stems(rest)):
            return Understood(text.strip())
        return Understood(" ".join(rest.split()), tuple(avoid), filters, tuple(self._named(rest)))

    def _without_prices(self, text: str) -> tuple[str, Filters]:
        if not self._price:
            return text, NO_FILTERS
        found = BETWEEN.search(text)
        if found and (found["word"] or re.search(MARK, found.group(), re.IGNORECASE)):
            low, high = sorted((_amount(found["low"]), _amount(found["high"])))
            condition = f"{self._price}={number_text(low)}..{number_text(high)}"
        elif found := AT_MOST.search(text):
            condition = f"{self._price}<={number_text(_amount(found['high']))}"
        elif found := AT_LEAST.search(text):
            condition = f"{self._price}>={number_text(_amount(found['low']))}"
        else:
            return text, NO_FILTERS
        return text[: found.start()] + " " + text[found.end() :], parse_filters([condition])

    def _without_refusals(self, text: str) -> tuple[str, list[str]]:
        avoid = []
        while found := REFUSALS.search(text):
            end = found.end()
            if found["short"]:
                phrase = found["one"]
            elif found["second"] and found["second"].lower() not in STOP_WORDS:
                phrase = f"{found['first']} {found['second']}"
            else:
                phrase, end = found["first"], found.end("first")
            if phrase.lower() in STOP_WORDS:
                break
            avoid.append(phrase)
            text = text[: found.start()] + " " + text[end:]
        return text, avoid

    def _named(self, text: str) -> Iterable[tuple[str, str]]:
        """The facets' values in a text, the longest first where they overlap."""
        words = stems(text)
        place = 0
        while place < len(words):
            for length in range(min(LONGEST, len(words) - place), 0, -1):
                if found := self._values.get(tuple(words[place : place + length])):
                    yield found
                    place += length
                    break
            else:
                place += 1


def has(attributes: Mapping[str, str], name: str, value: str) -> bool:
    """Whether a product with these labels and attributes has a facet's value."""
    return folded(attributes.get(name, "")).strip() == folded(value).strip()


def _priced(values: Iterable[tuple[str, int]]) -> bool:
    return numeric(value for value, _ in values)


def _preferred(name: str) -> bool:
    return fact_name(name) in PREFERRED


def _order(name: str) -> int:
    """Labels come last: a type is a better chip than a category of the same name."""
    return name in LABELS


def _letters(name: str) -> str:
    return "".join(filter(str.isalpha, folded(name)))


def _amount(text: str) -> float:
    return float(re.sub(r"[^0-9.]", "", text.replace(",", ".")).strip("."))
