"""A shop's own rules: synonyms, pins, boosts, banners and redirects."""

from dataclasses import replace
from typing import Any

import pytest

from fixtures.shop import CALIBRATION, Shop, drawn
from kaleidobert.data.images import open_image
from kaleidobert.errors import InputError
from kaleidobert.index.filters import Filters
from kaleidobert.search.query import Query
from kaleidobert.search.ranker import Ranker
from kaleidobert.search.rules import ShopRules, parse_rules
from kaleidobert.words import Lexicon, index_words

WORDS = {"vectors_words": [0.02, 50.0, 0.5, -0.5, 0.0], "combined_words": [0.02, 50.0, 0.5, -0.5, 0.0]}


def parsed(text: str) -> ShopRules:
    return ShopRules(parse_rules(text, "rules.yaml"))


def share(rules: ShopRules, query: str, title: str, *others: str) -> float:
    lexicon = Lexicon(index_words(each) for each in (title, *others))
    return rules.terms(lexicon, query).share(index_words(title))


def test_two_way_synonyms_find_each_other() -> None:
    rules = parsed("synonyms: [{words: [sneakers, trainers, gym shoes]}]")
    assert share(rules, "white sneakers", "white gym shoe") == 1
    assert share(rules, "white gym shoes", "white trainer") == 1
    assert share(rules, "gym", "trainer") == 0


def test_one_way_synonyms_do_not_work_backwards() -> None:
    rules = parsed("synonyms: [{word: trousers, finds: [chinos]}]")
    assert share(rules, "trousers", "chinos") == 1
    assert share(rules, "chinos", "trousers") == 0


def test_alternatives_count_less_and_placeholders_stand_for_values() -> None:
    assert share(parsed("synonyms: [{word: t shirt, alternatives: [tee]}]"), "t-shirt", "tee") == pytest.approx(0.8)
    sizes = parsed('synonyms: [{placeholder: "<size>", values: [xs, 38]}]')
    assert share(sizes, "shirt xs", "shirt <size>") == share(sizes, "shirt 38", "shirt <size>") == 1


def test_synonyms_in_any_language() -> None:
    rules = parsed("synonyms: [{words: [Kleid, платье, ドレス]}]")
    assert share(rules, "Платье", "Kleid") == share(rules, "kleid", "赤いドレス") == 1


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("synonyms: [{words: [one]}]", "synonyms.0: words needs two or more"),
        ("synonyms: [{word: a, values: [b]}]", "give words, or word with finds or alternatives"),
        ("rules: [{pins: [a]}]", "rules.0.pins: Extra inputs are not permitted"),
        ("rules: [{boost: [{filter: 'price<=x', by: 1}]}]", "'x' is not a number"),
        ("rules: [{boost: [{by: 1}]}]", "give either filter or number"),
        ("rules: [{redirect: 'javascript:alert(1)'}]", "use an address that starts with https"),
        ("rules: [{query: '&', redirect: /}]", "query '&' has no words"),
        ("rules: [", "not valid YAML"),
        ("rules: []\nrules: []", "the key 'rules' is there twice in"),
        ("rules: [{pin: [a], pin: [b]}]", "the key 'pin' is there twice"),
        ("- a", "rules.yaml: "),
    ],
)
def test_mistakes_are_told_in_one_line(text: str, reason: str) -> None:
    with pytest.raises(InputError) as error:
        parse_rules(text, "rules.yaml")
    assert reason in str(error.value) and "\n" not in str(error.value)


def with_rules(shop: Shop, text: str, **calibration: Any) -> Ranker:
    """The ranker of a shop with these rules."""
    ranker = shop.ranker(calibration=CALIBRATION | calibration)
    info = replace(ranker.store.info, rules=parse_rules(text, "rules").model_dump(exclude_defaults=True))
    ranker.store.info = info  # type: ignore[misc]
    return ranker


@pytest.fixture
def memory(new_shop: Shop) -> Shop:
    return new_shop.in_memory()


def ids(ranker: Ranker, text: str, **settings: Any) -> list[str]:
    return [hit.product.id for hit in ranker.search(text, top=12, **settings)]


def test_pins_come_first_in_their_order_and_buried_products_last(memory: Shop) -> None:
    before = ids(memory.ranker(), "red bag")
    pin, bury = [before[-1], before[5]], before[0]
    ranker = with_rules(memory, f"rules: [{{query: bags red, pin: [{pin[0]}, {pin[1]}, gone], bury: [{bury}]}}]")
    found = ids(ranker, "a red bag")
    assert found[:2] == pin and found[-1] == bury and sorted(found) == sorted(before)
    assert ids(ranker, "blue bag")[:2] != pin  # another query
    ellipses = ids(ranker, "red bag", filters=Filters.of({"subcategory": "ellipse"}))
    assert set(ellipses) == {f"p{number:02d}" for number in range(6)}  # a pin does not pass a filter


def test_boosts_by_filter_and_by_number(memory: Shop) -> None:
    ranker = with_rules(memory, "rules: [{boost: [{filter: colour=blue, by: 15}]}]")
    assert {*ids(ranker, "bag")[:2]} == {"p02", "p08"}
    lowered = with_rules(memory, "rules: [{boost: [{filter: colour=blue, by: -15}]}]")
    assert {*ids(lowered, "bag")[-2:]} == {"p02", "p08"}


def test_banner_and_redirect_are_those_of_the_first_rule_that_applies(memory: Shop) -> None:
    text = "rules: [{query: sale, banner: Half price, redirect: /sale}, {banner: Welcome}]"
    ranker = with_rules(memory, text)
    answer = ranker.answer(Query("red sale"))
    assert (answer.banner, answer.redirect) == ("Half price", "/sale")
    assert (ranker.answer(Query("red")).banner, ranker.answer(Query("red")).redirect) == ("Welcome", "")


def test_a_change_of_rules_counts_from_the_next_query(memory: Shop) -> None:
    ranker = memory.ranker()
    before = ids(ranker, "red bag")
    with_rules(memory, f"rules: [{{pin: [{before[-1]}]}}]")
    assert ids(ranker, "red bag")[0] == before[-1]


def test_synonyms_find_products_by_other_words(memory: Shop) -> None:
    ranker = with_rules(memory, "synonyms: [{words: [lilac, purple]}, {words: [oval, ellipse]}]", **WORDS)
    assert ranker.search("lilac oval", top=1, understand=False)[0].product.title == "purple ellipse bag"


def test_rules_compare_words_and_filters_as_a_search_does() -> None:
    rules = parsed("rules: [{query: t shirt, filters: [category=apparel], banner: Tees}]")
    asked = Filters.of({"category": "Apparel", "colour": "red"})
    assert rules.effects("red T-Shirts", asked).banner == rules.effects("shirt t", asked).banner == "Tees"
    assert rules.effects("red shirts", asked).banner == "" == rules.effects("t-shirt", Filters.of({})).banner


def test_a_photo_search_has_the_rules_of_all_queries(memory: Shop) -> None:
    photo = open_image(drawn("red", "ellipse"))
    first = memory.ranker().search(image=photo, top=1)[0].product.id
    ranker = with_rules(memory, f"rules: [{{bury: [{first}]}}]")
    assert [hit.product.id for hit in ranker.search(image=photo, top=12)][-1] == first
