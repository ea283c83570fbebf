"""Scores of word matches, and the matching of repeated words."""

import pytest
import snowballstemmer

from kaleidobert.alignment.matching import EXACT, PART, STEM, Match, content_words, match_score, match_words, stem


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
        ("hat", "hate", 0),
        ("cap", "capes", 0),
        ("sized", "sizes", STEM),
        ("elastic", "elasticated", STEM),
        ("tie-dye", "tie-dyed", STEM),
        ("bra", "bras", STEM),
    ],
)
def test_match_score(one, other, score):
    assert match_score(one, other) == match_score(other, one) == score


def test_short_words_are_their_own_stems():
    assert [stem(word) for word in ("s", "as", "red", "ed", "bed", "shed")] == ["s", "as", "red", "ed", "bed", "shed"]


def test_the_stemmer_alone_is_worse_on_some_garments():
    """Why -ing stays, and why -s, -es and -d are recognised besides; words that the stemmer gets right need no rule."""
    library = snowballstemmer.stemmer("english").stemWord
    for garment, material in (("leggings", "legs"), ("clothing", "cloth"), ("stockings", "stock"), ("coating", "coat")):
        assert library(garment) == library(material) and match_score(garment, material) == 0
    for one, other in (("bus", "buses"), ("bra", "bras"), ("tie-dye", "tie-dyed")):
        assert library(one) != library(other) and match_score(one, other) == STEM
    for one, other in (("cape", "caps"), ("earring", "ear"), ("pleather", "leather"), ("bras", "brass")):
        assert library(one) != library(other) and match_score(one, other) == 0


def test_stop_words_numbers_and_punctuation_are_not_content_words():
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


def test_repeated_words_match_in_order_and_the_last_one_serves_the_rest():
    matches = match_words(["navy", "shirt", "navy"], ["navy", "shirt", "navy", "navy"])
    assert [(match.word, match.generated) for match in matches] == [(0, 0), (1, 1), (2, 2), (3, 2)]


def test_nothing_generated_matches_nothing():
    assert match_words([], ["shirt"]) == []
