"""Completions and corrections of queries."""

import pytest

from kaleidobert.search.suggestions import Suggester, Vocabulary

TITLES = [
    "Red Dress with Long Sleeves",
    "Red Dress with Dots",
    "Blue Denim Jacket",
    "Blue Denim Skirt",
    "Blue Dial Watch",
    "Striped Sweater",
    "Women's Red T-Shirt",
    "Black Leather Belt",
]


@pytest.fixture(scope="module")
def suggester() -> Suggester:
    vocabulary = Vocabulary.of(TITLES, known={"comfortable"})
    return Suggester(lambda: vocabulary)


@pytest.mark.parametrize(
    ("typed", "first"),
    [
        ("dr", "dress"),
        ("red d", "red dress"),
        ("blue d", "blue denim"),  # the most frequent word after blue
        ("blu den", "blue denim"),
        ("blue denmi", "blue denim"),  # two letters transposed
        ("swaeter", "sweater"),
        ("striped swet", "striped sweater"),
        ("red ", "red dress"),
        ("RED DR", "red dress"),
        ("women", "women's"),
        ("t-sh", "t-shirt"),
    ],
)
def test_suggestions(suggester: Suggester, typed: str, first: str) -> None:
    assert suggester.suggest(typed)[0] == first


def test_no_suggestions(suggester: Suggester) -> None:
    assert suggester.suggest("") == suggester.suggest("  ") == []
    assert suggester.suggest("xyzzyx") == []
    assert "dress" not in suggester.suggest("dress")
    assert not any(query.endswith(" with") for query in suggester.suggest("dress "))
    assert len(suggester.suggest("b", limit=2)) == 2


@pytest.mark.parametrize(
    ("query", "corrected"),
    [
        ("red dres", None),  # may be an inflection
        ("red drsss", "red dress"),
        ("stripd sweter", "striped sweater"),
        ("Leathr belt, blakc!", "leather belt, black!"),
        ("comfortable belt", None),  # a word of a description
        ("belts", None),
        ("a belt for me", None),
        ("2019", None),
    ],
)
def test_corrections(suggester: Suggester, query: str, corrected: str | None) -> None:
    assert suggester.correction(query) == corrected


def test_accents_do_not_matter_and_are_shown_as_titles_have_them() -> None:
    vocabulary = Vocabulary.of(["Crème Kleid", "Cre\u0300me Kleid", "rote Schuhe"])
    suggester = Suggester(lambda: vocabulary)
    assert suggester.suggest("cre") == ["crème"] == suggester.suggest("CRÈ")
    assert suggester.suggest("creme ")[0] == "creme kleid"
    assert suggester.correction("creme") is None and suggester.correction("crême") is None
    assert suggester.correction("crme") == "crème"
