"""Which words name which: a table, and how repeated words pair up."""

import pytest

from kaleidobert.alignment.matching import EXACT, PART, STEM, Match, content_words, likeness, match_words, stem


@pytest.mark.parametrize(
    ("one", "other", "score"),
    [
        ("shirt", "Shirt", EXACT),
        ("v-neck", "V-Neck", EXACT),
        ("shirt", "shirts", STEM),
        ("dress", "dresses", STEM),
        ("watches", "watch", STEM),
        ("ladies", "lady", STEM),
        ("pleated", "pleats", STEM),
        ("dotted", "dots", STEM),
        ("fringed", "fringes", STEM),
        ("t-shirt", "tshirt", STEM),
        ("t-shirts", "tshirt", STEM),
        ("v-neck", "neck", PART),
        ("short-sleeved", "sleeves", PART),
        ("zip-up", "button-up", 0),
        ("t-shirt", "sweatshirt", 0),
        ("legging", "legs", 0),
        ("red", "reds", STEM),
        ("red", "rod", 0),
        ("bus", "buses", STEM),
        ("glass", "glasses", STEM),
    ],
)
def test_likeness(one, other, score):
    assert likeness(one, other) == likeness(other, one) == score


def test_a_stem_is_never_empty_and_short_words_stay():
    assert [stem(word) for word in ("s", "as", "red", "ed", "bed", "shed")] == ["s", "as", "red", "ed", "bed", "shed"]


def test_stop_words_numbers_and_punctuation_are_no_content():
    text = "A V-Neck T-Shirt, with 2 pockets & made in  Navy's cotton (100%)."
    words = content_words(text)
    assert [word.text for word in words] == ["V-Neck", "T-Shirt", "pockets", "Navy's", "cotton"]
    assert all(text[word.start : word.end] == word.text for word in words)


def test_each_word_gets_its_best_match_and_only_one():
    generated = ["striped", "shirts", "shirt", "navy"]
    assert match_words(generated, ["Navy", "shirt", "stripes", "pocket"]) == [
        Match(3, 0, EXACT),
        Match(2, 1, EXACT),
        Match(0, 2, STEM),
    ]


def test_repeated_words_match_in_order_and_the_last_serves_the_rest():
    matches = match_words(["navy", "shirt", "navy"], ["navy", "shirt", "navy", "navy"])
    assert [(match.word, match.generated) for match in matches] == [(0, 0), (1, 1), (2, 2), (3, 2)]


def test_nothing_generated_matches_nothing():
    assert match_words([], ["shirt"]) == []
