"""Words of queries and products: folding, stems, compounds, typing errors, scripts without spaces."""

import time

import pytest

from kaleidobert.words import Lexicon, folded, index_words, stems, words_of


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("Crème", "creme"),
        ("Cre\u0300me", "creme"),  # the same, decomposed
        ("ＲＥＤ ５", "red 5"),
        ("Strauß Øre Łódź", "strauss ore lodz"),
        ("٤٢ и Ё", "42 и е"),
        ("हिन्दी", "हिन्दी"),  # signs that spell are no accents
        ("ガ", "ガ"),
        ("Nike™ Damen\u00adschuhe", "nike damenschuhe"),
    ],
)
def test_folding_removes_case_accents_and_forms_alone(text: str, plain: str) -> None:
    assert folded(text) == plain
    assert folded(folded(text)) == plain


def test_words_of_scripts_without_spaces_are_pairs_of_characters() -> None:
    assert words_of("赤いドレス red") == ["赤い", "いド", "ドレ", "レス", "red"]
    assert words_of("हिन्दी साड़ी") == ["हिन्दी", folded("साड़ी")]
    assert words_of("🔥👗 ❤️ …") == []


def test_products_are_found_by_stems_and_parts_of_compounds() -> None:
    assert index_words("Zip-Front T-Shirts", "Dresses") == {"zipfront", "zip", "front", "tshirt", "dress"}
    assert stems("men's running shoes") == ["men", "run", "shoe"]


@pytest.fixture
def lexicon() -> Lexicon:
    titles = ["Nike T-Shirts for men", "Damenschuhe rot", "blue handbag", "v-neck jumper", "赤いドレス", "Crème 4711"]
    return Lexicon(map(index_words, titles))


@pytest.mark.parametrize(
    ("query", "title"),
    [
        ("t shirt", "Nike T-Shirts for men"),
        ("tshirt", "Nike T-Shirts for men"),
        ("bag", "blue handbag"),  # the end of a longer word counts less
        ("schuhe", "Damenschuhe rot"),
        ("hanbdag", "blue handbag"),
        ("jumpr", "v-neck jumper"),
        ("v neck", "v-neck jumper"),
        ("ドレス", "赤いドレス"),
        ("CREME", "Crème 4711"),
        ("4711", "Crème 4711"),
    ],
)
def test_a_query_finds_the_product_however_it_is_spelt(lexicon: Lexicon, query: str, title: str) -> None:
    terms = lexicon.terms(query)
    assert terms.meaning and terms.share(index_words(title)) > 0.5
    assert terms.share(index_words("something else")) == 0


def test_an_exact_word_is_not_corrected(lexicon: Lexicon) -> None:
    assert lexicon.terms("men").forms == ["men"]
    assert lexicon.terms("blau").share(index_words("blue handbag")) == 0  # two errors
    assert lexicon.terms("rat").share(index_words("Damenschuhe rot")) == 0  # three letters


def test_rare_words_weigh_more_and_unknown_ones_lower_the_share() -> None:
    lexicon = Lexicon(map(index_words, ["red shoe"] * 8 + ["red boot"]))
    weights = {term.word: term.weight for term in lexicon.terms("red boot").terms}
    assert weights["boot"] > 2 * weights["red"]
    assert lexicon.terms("red boot").share(index_words("red boot")) == 1
    assert lexicon.terms("red qqqq").share(index_words("red boot")) < 0.5


@pytest.mark.parametrize("query", ["", "the", "for the", "🔥👗", "...", "12345"])
def test_queries_without_words_have_no_meaning(lexicon: Lexicon, query: str) -> None:
    assert not lexicon.terms(query).meaning


@pytest.mark.parametrize("text", ["a" * 100_000, "a-" * 50_000, "1" * 100_000, "é" * 100_000, "赤" * 50_000])
def test_long_texts_take_no_more_than_their_length(text: str) -> None:
    started = time.perf_counter()
    index_words(text)
    assert time.perf_counter() - started < 2
