"""What a text asks for beyond its words."""

from dataclasses import replace

import numpy as np
import pytest

from fixtures.memory_index import MemoryIndex
from kaleidobert.data.product import Product
from kaleidobert.index.filters import Filters
from kaleidobert.index.records import StoredView, StoreInfo
from kaleidobert.search.query import Query
from kaleidobert.search.understanding import QueryUnderstanding

TITLES = ("a thing", "shoes with high heels", "no show socks")


def understanding(**attributes: list[str]) -> QueryUnderstanding:
    """Of an index whose products have these values in turn."""
    index = MemoryIndex(StoreInfo("f", "m", 2, 3, 4, "1"))
    count = max(map(len, attributes.values()))
    for row in range(count):
        own = {name: values[row % len(values)] for name, values in attributes.items()}
        product = Product(id=str(row), title=TITLES[row % 3], category="Dresses", attributes=own)
        index.upsert([StoredView(product, 0, np.eye(2, dtype=np.float32)[0], 0.0, np.zeros((3, 4)), b"")])
    return QueryUnderstanding(index)


@pytest.fixture
def known() -> QueryUnderstanding:
    return understanding(
        baseColour=["Red", "Navy Blue", "Blue"], gender=["Men", "Women"], price=["10", "20.5", "sold out", "99"]
    )


@pytest.mark.parametrize(
    ("text", "rest", "avoid"),
    [
        ("red dress without stripes", "red dress", ("stripes",)),
        ("dress no hood", "dress", ("hood",)),
        ("not blue dress", "dress", ("blue",)),
        ("shoes without high heels", "shoes", ("high heels",)),
        ("Kleid ohne Ärmel", "Kleid", ("Ärmel",)),
        ("robe sans manches", "robe", ("manches",)),
        ("dress without stripes and no hood", "dress and", ("stripes", "hood")),
        ("bag without leather, suede and fur", "bag", ("leather", "suede", "fur")),
        ("dress without sleeves red", "dress red", ("sleeves",)),
        ("no show socks", "no show socks", ()),  # as a title has it
        ("nothing but knots", "nothing but knots", ()),
        ("without stripes", "without stripes", ()),  # there would be nothing to search for
    ],
)
def test_refused_words_are_avoided(known: QueryUnderstanding, text: str, rest: str, avoid: tuple) -> None:
    found = known.understand(text)
    assert (" ".join(found.text.split()), found.avoid) == (rest, avoid)
    assert all(
        text[place] == letter for place, letter in enumerate(found.text) if letter != " "
    )  # words keep their places


@pytest.mark.parametrize(
    ("text", "rest", "condition"),
    [
        ("dress under 50", "dress", "price<=50"),
        ("dress under $49.99", "dress", "price<=49.99"),
        ("dress 30 to 60 euro", "dress", "price=30..60"),
        ("dress between 30 and 60", "dress", "price=30..60"),
        ("dress above 1000000", "dress", "price>=1000000"),
        ("dress under $1,500", "dress", "price<=1500"),
        ("dress under 1.000,50 euro", "dress", "price<=1000.5"),
        ("dress over $100", "dress", "price>=100"),
        ("heels under 7.5 cm", "heels under 7.5 cm", None),
        ("nike air max 90", "nike air max 90", None),
        ("at least 50% cotton", "at least 50% cotton", None),
        ("dress up to 3xl", "dress up to 3xl", None),
        ("Kleid bis 50 €", "Kleid", "price<=50"),
        ("dress size 30 to 32", "dress size 30 to 32", None),
        ("shoes under 10 cm", "shoes under 10 cm", None),
        ("under 12 years shirt", "under 12 years shirt", None),
        ("over the knee boots", "over the knee boots", None),
    ],
)
def test_prices_become_a_range(known: QueryUnderstanding, text: str, rest: str, condition: str | None) -> None:
    found = known.understand(text)
    assert (" ".join(found.text.split()), found.filters.to_strings()) == (rest, [condition] if condition else [])


def test_without_numeric_prices_an_amount_is_a_word() -> None:
    found = understanding(price=["cheap", "dear"]).understand("dress under 50")
    assert found.text == "dress under 50" and not found.filters


def test_values_of_facets_are_preferred_the_longest_first(known: QueryUnderstanding) -> None:
    assert known.understand("navy blue dresses for men").preferred == (
        *(("baseColour", "Navy Blue"), ("category", "Dresses"), ("gender", "Men")),
    )
    assert known.understand("bluish thing").preferred == ()


def test_what_is_understood_adds_to_the_query_s_own_conditions(known: QueryUnderstanding) -> None:
    query = Query("red dress no hood under 50", avoid="wool", filters=Filters.of({"gender": "Men"}))
    asked = known.understand(query.text).applied_to(query)
    assert (asked.text.split(), asked.avoid) == (["red", "dress"], "wool, hood")
    assert asked.filters.to_strings() == ["gender=Men", "price<=50"]
    assert asked.preferred == (("baseColour", "Red"), ("category", "Dresses"))
    ignoring = replace(query, ignore=("baseColour=Red",))
    assert known.understand(query.text).applied_to(ignoring).preferred == (("category", "Dresses"),)


def test_with_a_photo_or_a_product_conditions_alone_are_enough(known: QueryUnderstanding) -> None:
    found = known.understand("without stripes under 50", alone=False)
    assert (found.text, found.avoid, found.filters.to_strings()) == ("", ("stripes",), ["price<=50"])


def test_preferences_that_the_query_has_already_stay(known: QueryUnderstanding) -> None:
    query = Query("red dress", preferred=(("size", "M"),))
    assert known.understand(query.text).applied_to(query).preferred[0] == ("size", "M")
