"""Money and decimals as shops write them: "1.234,50 €", "₹1,23,456.00" and "١٢٫٥" become 1234.50, 123456.00 and 12.5.

A column is read by one convention, that under which nearly all of its first cells are numbers, since "1.234" alone may
be either. Columns of plain numbers and of texts stay as they are.
"""

from __future__ import annotations

import contextlib
import itertools
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache
from typing import Any

from babel.numbers import NumberFormatError, get_currency_precision, list_currencies, parse_decimal

from kaleidobert.data.tables import NumberedRows, Table
from kaleidobert.errors import InputError

LOCALES = ("en", "de", "en_IN")  # 1,234.50 · 1.234,50 · 1,23,456.00; blanks and apostrophes may group in all of them
ROWS_TO_LEARN_FROM = 1000
NUMBERS_AT_LEAST = 0.95  # of a column's cells
LONGEST = 40  # characters of an amount
NESTED = 5  # levels of values in others at most
CODES = list_currencies()
# Signs of letters, in the languages of the countries that have the currency. None of one Latin letter, as sizes have.
SIGNS = frozenset(
    "kr zł zl kč lei rs sfr fr din дин kn ден лв руб р грн тг сом сўм soʻm tl rm rp dh dhs "
    "eur euro euros bs b/ s/ gs nu ksh tsh ush tk fcfa fcfp cfa afl lekë 円 圓 元 圆 원 đ บาท "
    "أ.م ج.س ج.م د.أ د.إ د.ب د.ت د.ج د.ع د.ك د.ل د.م ر.س ر.ع ر.ق ر.ي ریال ل.س ل.ل रु රු ብር".split()
)
CASED_SIGNS = frozenset(("Ft", "KM"))  # that are feet and kilometres otherwise
AMOUNT = re.compile(
    r"\A(?P<sign>[-+]?)(?P<before>\D*?)(?P<number>[-+]?\d(?:[\d.,]*\d)?)(?P<end>\s?[.,/][-–—=]+)?(?P<after>\D*)"
)
LEADING_MARK = re.compile(r"(?<![^\W\d_])([.,])\Z")  # of "$.99"; that of "Rs.99" ends a word
PLAIN = re.compile(r"[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
GROUPS = re.compile(r"(?<=\d)[\s'’](?=\d{3})")
OTHER_MARKS = str.maketrans("٫٬،−．，－＋", ".,,-.,-+") | dict.fromkeys((0x200E, 0x200F, 0x61C))  # those of direction

Amount = tuple[str, str]  # a number that float() reads, and the currency as it was written, "" if there is none


def parse_amount(text: str, locale: str) -> Amount | None:
    """A number or an amount of money in a locale's notation and any script's digits; None for any other text."""
    if len(text) > LONGEST:
        return None
    plain = "".join(str(unicodedata.decimal(letter, letter)) for letter in text.translate(OTHER_MARKS).strip())
    found = AMOUNT.fullmatch(GROUPS.sub("", plain))
    if found is None:
        return None
    before, number = found["before"], found["number"]
    if mark := LEADING_MARK.search(before):
        before, number = before[: mark.start()], f"0{mark[1]}{number}"
    units = [unit for unit in (before.strip(), found["after"].strip(" \t*")) if unit]
    if not all(map(_is_currency, units)) or (found["sign"] and not number[0].isdecimal()):
        return None
    currency = next((unit for unit in units if unit in CODES), units[0] if units else "")  # "$12.50 USD" has two
    try:
        value = parse_decimal(found["sign"].strip("+") + number.lstrip("+"), locale=locale, strict=True)
    except NumberFormatError:
        return None
    decimals = -int(value.as_tuple().exponent)
    if (currency or found["end"]) and decimals > _most_decimals(currency, found["end"] or ""):
        return None  # "1.234 €" are more than a thousand
    return f"{value:f}", currency


def with_plain_numbers(table: Table) -> Table:
    """The table with its columns of money and decimals as numbers; of money, "NAME currency" holds the currency."""

    locales = cache(lambda: _locales(_first_rows(table)))  # learned at the first reading of several

    def rows() -> NumberedRows:
        for number, row in table.rows():
            yield number, row if isinstance(row, str) or not locales() else _converted(row, locales())

    return replace(table, rows=rows)


def _first_rows(table: Table) -> Iterator[dict[str, Any]]:
    """Those before a damaged part, which reading itself reports."""
    with contextlib.suppress(InputError):
        yield from (row for _, row in itertools.islice(table.rows(), ROWS_TO_LEARN_FROM) if isinstance(row, dict))


def _locales(rows: Iterable[dict[str, Any]]) -> dict[str, str]:
    """The locale of each column that holds numbers of which not all are plain."""
    cells: dict[str, list[str]] = {}
    for row in rows:
        for column, cell in _texts(row):
            cells.setdefault(column, []).append(cell)
    found = {}
    for column, texts in cells.items():
        if all(PLAIN.fullmatch(text.strip()) for text in texts):
            continue
        counts = {locale: sum(parse_amount(text, locale) is not None for text in texts) for locale in LOCALES}
        best = max(counts, key=counts.__getitem__)
        if counts[best] >= NUMBERS_AT_LEAST * len(texts):
            found[column] = best
    return found


def _texts(row: dict[str, Any], prefix: str = "", levels: int = NESTED) -> Iterator[tuple[str, str]]:
    """The texts of a row, by column; of nested values by all their names, as in `row_attributes`."""
    for name, cell in row.items():
        if isinstance(cell, str) and cell.strip():
            yield f"{prefix}{name}", cell
        for part in _objects(cell) if levels else ():
            yield from _texts(part, f"{prefix}{name}.", levels - 1)


def _converted(row: dict[str, Any], locales: dict[str, str], prefix: str = "", levels: int = NESTED) -> dict[str, Any]:
    changed: dict[str, Any] = {}
    for name, cell in row.items():
        column = f"{prefix}{name}"
        amount = parse_amount(cell, locales[column]) if isinstance(cell, str) and column in locales else None
        if amount is not None:
            changed[name], currency = amount
            if currency:
                changed[f"{name} currency"] = currency
        elif levels and (parts := _objects(cell)):
            inner = [_converted(part, locales, f"{column}.", levels - 1) for part in parts]
            changed[name] = inner if isinstance(cell, list) else inner[0]
    return row | changed


def _objects(cell: Any) -> list[dict[str, Any]]:
    """The object that a cell is, or those that it lists; none of a list with other values."""
    cells = cell if isinstance(cell, list) else [cell]
    return cells if all(isinstance(each, dict) for each in cells) else []


def _most_decimals(currency: str, end: str) -> int:
    """Digits that an amount has after its mark: of "5,-" none, since the dash stands for them."""
    if end.strip().startswith((".", ",")):
        return 0
    return int(get_currency_precision(currency)) if currency in CODES else 2


def _is_currency(unit: str) -> bool:
    word = unit.strip(". ").casefold()
    signs = {unicodedata.category(letter) for letter in unit}
    symbol = len(unit) <= 4 and "Sc" in signs and signs <= {"Sc", "Lu", "Ll", "Lo"}
    return symbol or unit in CODES or word in SIGNS or unit in CASED_SIGNS
