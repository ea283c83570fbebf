"""What a text asks for beyond its words: what to leave out, a range of prices, and values of the catalogue's facets.

"red dress without stripes under 50" is a search for "red dress" that avoids stripes, at prices up to 50, and prefers
products whose colour is red. Prices become a filter only where products have numeric prices; nothing else filters.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

from kaleidobert.data.facts import BRAND, COLOUR, PERSON, TYPE, USAGE, fact_name
from kaleidobert.index.facet_column import number, number_text, numeric, value_key
from kaleidobert.index.filters import NO_FILTERS, Filters, parse_filters
from kaleidobert.index.operators import LABELS
from kaleidobert.index.protocol import ProductIndex
from kaleidobert.search.query import Query
from kaleidobert.words import STOP_WORDS, letters_of, stems

PRICES = ("price", "saleprice", "currentprice", "preis", "prix", "precio", "prezzo", "prijs", "preco", "pris", "cena")
PREFERRED = (*LABELS, TYPE, COLOUR, PERSON, BRAND, USAGE, "size")  # facets whose values are looked for in a text
MAX_VALUES = 5000  # of a facet
LONGEST = 4  # words of a value
MAX_REFUSED = 10  # phrases
NAME = r"[^\W\d_][\w'’-]*"
REFUSALS = re.compile(
    r"(?<!\w)(?:(?P<short>no|not|non|kein|keine|pas de)|without|w/o|excluding|except|minus|ohne|sans|sin|senza|zonder"
    rf"|sem|utan)(?:\s+(?:any|a|an|the))?\s+(?P<first>{NAME})",
    re.IGNORECASE,
)
WORD = re.compile(NAME)
NEXT = re.compile(rf"(?<!\s)\s+(?P<word>{NAME})")
ALSO = re.compile(rf"(?<!\s)\s*(?:,|\b(?:and|or|nor|und|oder|et|ou|y|o)\b)\s*(?P<word>{NAME})", re.IGNORECASE)

MARK = r"(?:[$€£¥₹]|\b(?:usd|eur|euros?|gbp|pounds?|dollars?|inr|rupees?|rs)\b\.?)"
MARKED = re.compile(MARK, re.IGNORECASE)
GROUPED = r"[0-9]{1,3}(?:[.,][0-9]{3})+"
DIGITS = rf"(?:(?:{GROUPED}|[0-9]{{1,7}})(?:[.,][0-9]{{1,2}})?)(?![.,]?[0-9])"
AMOUNT = rf"(?:{MARK}\s*)?(?<![\w.,]){DIGITS}(?:\s*{MARK}|(?!\w))"
NO_UNIT = r"(?!\s*(?:%|(?:years?|months?|cm|mm|m|inch(?:es)?|ml|l|g|kg|packs?|pieces?|pairs?)\b))"
BETWEEN = re.compile(
    rf"(?P<word>\b(?:between|from|zwischen|entre)\s+)?(?P<low>{AMOUNT})\s*(?:to|and|-|–|bis|und|et|y|a)\s*"
    rf"(?P<high>{AMOUNT}){NO_UNIT}",
    re.IGNORECASE,
)
AT_MOST = re.compile(
    r"(?:\b(?:(?P<unsure>max(?:imum)?)|under|below|less than|cheaper than|up to|at most|unter|bis(?: zu)?|moins de"
    rf"|menos de)\s+|<=?\s*)(?P<end>{AMOUNT}){NO_UNIT}",
    re.IGNORECASE,
)
AT_LEAST = re.compile(
    r"(?:\b(?:(?P<unsure>over|min(?:imum)?)|above|more than|at least|über|plus de|más de)\s+|>=?\s*)"
    rf"(?P<end>{AMOUNT}){NO_UNIT}",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Understood:
    """What was understood of a text.

    text: the rest of it, with blanks in place of what was understood, so that words keep their places. avoid: phrases
    that hits should not match. filters: the range of prices. preferred: facets' names and values that hits should have
    if possible.
    """

    text: str
    avoid: tuple[str, ...] = ()
    filters: Filters = NO_FILTERS
    preferred: tuple[tuple[str, str], ...] = ()

    def applied_to(self, query: Query) -> Query:
        """The query with what was understood beside its own conditions."""
        avoid = ", ".join(filter(None, [query.avoid.strip(), *self.avoid]))
        kept = tuple(each for each in self.preferred if f"{each[0]}={each[1]}" not in query.ignore)
        preferred = (*query.preferred, *(each for each in kept if each not in query.preferred))
        filters = query.filters.joined(self.filters)
        return replace(query, text=self.text, avoid=avoid, filters=filters, preferred=preferred)


class QueryUnderstanding:
    """Understands texts by the facets and titles of one version of an index."""

    def __init__(self, index: ProductIndex) -> None:
        names = index.filter_names()
        facets = index.facets(names=names)
        self._price = price_name(index)
        self._values: dict[tuple[str, ...], tuple[str, str]] = {}
        for name in sorted((each for each in names if _preferred(each)), key=_order):
            for value, _ in facets.get(name, ())[:MAX_VALUES]:
                words = tuple(stems(value))
                if 0 < len(words) <= LONGEST and not set(words) <= STOP_WORDS and number(value) is None:
                    self._values.setdefault(words, (name, value))
        self._pairs = {pair for title in index.titles() for pair in pairwise(stems(title))}

    def understand(self, text: str, alone: bool = True) -> Understood:
        """``alone``: the text is all there is to search for; then one that would have no words left stays as it is."""
        rest, filters = self._without_prices(text)
        rest, avoid = self._without_refusals(rest)
        if not any(word not in STOP_WORDS for word in stems(rest)):
            return Understood(text) if alone else Understood("", tuple(avoid), filters)
        return Understood(rest, tuple(avoid), filters, tuple(self._named(rest)))

    def _without_prices(self, text: str) -> tuple[str, Filters]:
        if not self._price:
            return text, NO_FILTERS
        found = BETWEEN.search(text)
        if found and (found["word"] or _marked(found.group())):
            low, high = sorted((_amount(found["low"]), _amount(found["high"])))
            condition = f"{self._price}={number_text(low)}..{number_text(high)}"
        else:
            for sign, pattern in (("<=", AT_MOST), (">=", AT_LEAST)):
                found = pattern.search(text)
                if found and (_marked(found["end"]) or not found["unsure"]):
                    condition = f"{self._price}{sign}{number_text(_amount(found['end']))}"
                    break
            else:
                return text, NO_FILTERS
        return _blanked(text, found.start(), found.end()), parse_filters([condition])

    def _without_refusals(self, text: str) -> tuple[str, list[str]]:
        """Refused words, and those that follow them after "and" or a comma; two words that titles have as a pair."""
        avoid: list[str] = []
        start = 0
        while len(avoid) < MAX_REFUSED and (found := REFUSALS.search(text, start)):
            start = found.end()
            refusal = stems(found.group())
            if found["first"].lower() in STOP_WORDS or tuple(refusal[-2:]) in self._pairs and found["short"]:
                continue  # "no-show socks" are not socks without a show
            place, end = found.start(), found.start("first")
            while True:
                phrase, end = self._phrase(text, end)
                avoid.append(phrase)
                more = ALSO.match(text, end)
                if more is None or len(avoid) >= MAX_REFUSED:
                    break
                if more["word"].lower() in STOP_WORDS or REFUSALS.match(text, more.start("word")):
                    break
                end = more.start("word")
            text, start = _blanked(text, place, end), end
        return text, avoid

    def _phrase(self, text: str, start: int) -> tuple[str, int]:
        """The word at ``start``, with the next one if titles have the pair, and where it ends."""
        first = WORD.match(text, start)
        assert first is not None
        second = NEXT.match(text, first.end())
        if second and tuple(stems(f"{first.group()} {second['word']}")) in self._pairs:
            return f"{first.group()} {second['word']}", second.end()
        return first.group(), first.end()

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


def price_name(index: ProductIndex) -> str:
    """The attribute that holds the products' prices as numbers; "" without any."""
    names = [name for name in index.filter_names() if letters_of(name) in PRICES]
    return next((name for name, counts in index.facets(names=names).items() if _priced(counts)), "")


def has(attributes: Mapping[str, str], name: str, value: str) -> bool:
    """Whether a product with these labels and attributes has a facet's value."""
    return value_key(attributes.get(name, "")) == value_key(value)


def _blanked(text: str, start: int, end: int) -> str:
    return text[:start] + " " * (end - start) + text[end:]


def _priced(values: Iterable[tuple[str, int]]) -> bool:
    return numeric(value for value, _ in values)


def _preferred(name: str) -> bool:
    return fact_name(name) in PREFERRED


def _order(name: str) -> int:
    """Labels come last: a type is a better chip than a category of the same name."""
    return name in LABELS


def _marked(text: str) -> bool:
    return MARKED.search(text) is not None


def _amount(text: str) -> float:
    """ "$1,500", "49.99" and "1.000,50" as numbers: the last mark before one or two digits is the decimal one."""
    plain = re.sub(r"[^0-9.,]", "", text).strip(".,")
    whole, mark, cents = max(plain.rpartition("."), plain.rpartition(","), key=lambda parts: len(parts[0]))
    if mark and len(cents) <= 2:
        return float(re.sub(r"[.,]", "", whole) + "." + cents)
    return float(re.sub(r"[.,]", "", plain))
