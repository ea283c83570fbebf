"""Ranking, on both implementations of `ProductIndex`."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.special import logit

from fixtures.shop import CALIBRATION, COLOURS, JOINT, Shop, catalogue, drawn
from kaleidobert.data.images import open_image
from kaleidobert.data.product import Product
from kaleidobert.errors import InputError
from kaleidobert.index.filters import Filters, parse_filters
from kaleidobert.scoring.calibration import Calibration
from kaleidobert.search.candidates import CandidateRetriever
from kaleidobert.search.query import Hit, Query
from kaleidobert.search.ranker import Ranker
from kaleidobert.vision.saliency.detectors import DETECTORS

KNOWN = Calibration.of(CALIBRATION, 1.0)
WORDS = (KNOWN.vectors[0], 50.0, *KNOWN.vectors[1:])


def score_of(hit: Hit, words: list[str | None]) -> float:
    """The scaled score that a text's match probability came from."""
    slope, *weights, offset = KNOWN.vectors
    return float((logit(hit.match) - np.dot(weights, KNOWN.features(words)) - offset) / slope)


@torch.inference_mode()
def brute_force(shop: Shop, ranker: Ranker, query: str) -> dict[str, float]:
    """The combined score of every product's best view by cosine, from photos through the whole model."""
    views = [(product.id, product.open(view)) for product in shop.products for view in range(len(product.images))]
    photos, texts = [photo for _, photo in views], [query] * len(views)
    scorer = ranker.scorer
    cosines = (scorer.encode_images(photos).embeds * scorer.encode_texts(texts).embeds).sum(dim=-1)
    scores = scorer.score(photos, texts)
    best: dict[str, tuple[float, float]] = {}
    for (product_id, _), cosine, score in zip(views, cosines.tolist(), scores.tolist(), strict=True):
        best[product_id] = max(best.get(product_id, (-1.0, 0.0)), (cosine, score))
    return {product_id: score for product_id, (_, score) in best.items()}


@pytest.mark.parametrize("query", ["red ellipse bag", "black", "something it has never seen"])
def test_reranking_is_the_combined_score_of_the_full_forward_pass(shop: Shop, query: str) -> None:
    ranker = shop.ranker(**JOINT)
    hits = ranker.search(query, top=12, understand=False)
    (encoded,) = ranker.encoder.texts([query]).values()
    expected = brute_force(shop, ranker, query)
    assert {hit.product.id: score_of(hit, list(encoded.words)) for hit in hits} == pytest.approx(expected, abs=0.05)
    assert [hit.match for hit in hits] == sorted((hit.match for hit in hits), reverse=True)
    plain = shop.ranker().search(query, top=12, rerank=0, understand=False)
    assert [hit.product.id for hit in hits] != [hit.product.id for hit in plain]


def test_the_order_by_vectors_subtracts_hubness(shop: Shop) -> None:
    ranker = shop.ranker()
    hits = ranker.search("red bag", top=12, rerank=0, understand=False)
    own = ranker.scorer.encode_texts(["red bag"]).hubness.item()
    scores = [hit.cosine - 0.5 * (hit.product.hubness + own) for hit in hits]
    scale = ranker.scorer.scale
    assert [score_of(hit, ["red", "bag"]) / scale for hit in hits] == pytest.approx(scores, abs=1e-5)
    assert scores == sorted(scores, reverse=True)
    assert scores != pytest.approx([hit.cosine for hit in hits], abs=1e-3)


def test_only_the_best_candidates_are_reranked(shop: Shop) -> None:
    ranker = shop.ranker(**JOINT)
    by_vector = {hit.product.id: hit.match for hit in ranker.search("red bag", top=12, rerank=0)}
    best = list(by_vector)[:4]
    hits = ranker.search("red bag", top=12, rerank=4)
    changed = {hit.product.id for hit in hits if hit.match != by_vector[hit.product.id]}
    assert changed == set(best)
    assert [hit.rank for hit in hits] == list(range(1, 13))


def test_a_photo_finds_itself(shop: Shop) -> None:
    hits = shop.ranker().search(image=open_image(drawn("green", "rectangle")), top=3)
    assert hits[0].cosine == pytest.approx(1, abs=1e-4)
    assert hits[0].match == pytest.approx(KNOWN.image(np.array(shop.ranker().scorer.scale)), abs=1e-3)
    assert hits[0].thumbnail.startswith(b"\xff\xd8")


def test_text_and_photo_must_both_match(shop: Shop) -> None:
    ranker, photo = shop.ranker(), open_image(drawn("green", "rectangle"))
    alone = [{h.product.id: h.match for h in ranker.search(top=12, **q)} for q in ({"text": "red"}, {"image": photo})]
    both = ranker.search("red", image=photo, top=12)
    for hit in both:
        if hit.product.views == 1:  # text and photo may like different views best
            assert hit.match == pytest.approx(alone[0][hit.product.id] * alone[1][hit.product.id], abs=1e-4)


def test_similar_products_exclude_the_product_itself(shop: Shop) -> None:
    hits = shop.ranker().search(like="p03", top=12)
    assert len(hits) == 11 and "p03" not in {hit.product.id for hit in hits}
    with pytest.raises(InputError, match="no product has the id 'none'"):
        shop.ranker().search(like="none")


def test_avoided_phrases_exclude_by_text_and_lower_the_match_by_image(shop: Shop) -> None:
    ranker = shop.ranker()
    plain = {hit.product.id: hit.match for hit in ranker.search("bag", top=12)}
    found = ranker.search("bag", avoid="Red, ellips", top=12)
    assert {"p00", "p06"} == plain.keys() - {hit.product.id for hit in found}  # "ellips" is no whole word
    assert all(hit.match < plain[hit.product.id] for hit in found if hit.product.views == 1)


def test_filters_restrict_hits_and_facet_counts(shop: Shop) -> None:
    filters = Filters.of({"category": 'Men\'s "best"', "fabric": "it's 100% 'wool'"})
    answer = shop.ranker().answer(Query("bag", filters=filters, facets=("subcategory", "colour")))
    assert sorted(hit.product.id for hit in answer.hits) == ["p01", "p03"]
    assert (answer.total, answer.exact) == (2, True)
    assert answer.facets == {"subcategory": [("ellipse", 2)], "colour": [("green", 1), ("orange", 1)]}


def test_a_facet_count_is_the_total_after_filtering_by_it(shop: Shop) -> None:
    ranker = shop.ranker()
    matches = [hit.match for hit in ranker.search("red bag", top=12)]
    query = Query("red bag", threshold=float(np.median(matches)), facets=("colour",), rerank=0)
    answer = ranker.answer(query)
    assert 0 < answer.total < 12 and answer.exact
    for value, count in answer.facets["colour"]:
        clicked = ranker.answer(replace(query, filters=Filters.of({"colour": value})))
        assert clicked.total == count == sum(1 + hit.variants for hit in clicked.hits)


def test_a_weak_answer_is_flagged(shop: Shop) -> None:
    ranker = shop.ranker()
    assert ranker.answer(Query("red bag", threshold=1.0)).hits == []
    ranker.calibration = replace(KNOWN, weak=1.0)
    assert ranker.answer(Query("red bag")).weak
    ranker.calibration = replace(KNOWN, weak=0.0)
    assert not ranker.answer(Query("red bag")).weak


def test_pages_neither_repeat_nor_skip_hits(shop: Shop) -> None:
    ranker = shop.ranker()
    whole = [hit.product.id for hit in ranker.search("red bag", top=12)]
    pages, offset = [], 0
    while offset is not None:
        answer = ranker.answer(Query("red bag", top=5, offset=offset))
        pages += answer.hits
        offset = answer.next_offset
    assert [hit.product.id for hit in pages] == whole and [hit.rank for hit in pages] == list(range(1, 13))


def test_a_write_invalidates_remembered_answers(writable_shop: Shop) -> None:
    ranker = writable_shop.ranker()
    first = ranker.search("red bag", top=12)[0].product.id
    ranker.store.delete([first])
    assert first not in {hit.product.id for hit in ranker.search("red bag", top=12)}


def test_sorting(shop: Shop) -> None:
    ranker = shop.ranker()
    titles = [hit.product.title for hit in ranker.search("bag", sort="title", top=12)]
    assert titles == sorted(titles)
    assert [h.product.title for h in ranker.search("bag", sort="-title", top=12)] == titles[::-1]
    with pytest.raises(InputError, match="cannot sort by 'price'"):
        ranker.search("bag", sort="price")


def test_a_hybrid_search_finds_by_title(shop: Shop) -> None:
    hits = shop.ranker().search("purple rectangle", hybrid=1.0, top=3)
    assert hits[0].product.title == "purple rectangle bag"


def test_a_batch_is_answered_like_single_queries(shop: Shop) -> None:
    queries = [Query("red bag"), Query("a much longer query for a black ellipse"), Query(like="p01"), Query("red bag")]
    together = shop.ranker().answer_many(queries)
    for query, answer in zip(queries, together, strict=True):
        alone = shop.ranker().answer(query)
        assert [hit.product.id for hit in answer.hits] == [hit.product.id for hit in alone.hits]
        assert [hit.match for hit in answer.hits] == pytest.approx([hit.match for hit in alone.hits], abs=1e-5)


def test_words_explain_a_hit_with_weights_and_patches(shop: Shop) -> None:
    ranker = shop.ranker()
    hit = ranker.search("the red ellipse bag", why=True, top=1)[0]
    assert hit.why is not None
    assert [(each.word, each.start, each.end) for each in hit.why] == [
        ("red", 4, 7),
        ("ellipse", 8, 15),
        ("bag", 16, 19),
    ]
    assert sum(each.weight for each in hit.why) == pytest.approx(1)
    for each in hit.why:
        assert 1 == each.patches[0].weight >= each.patches[-1].weight > 0
        for patch in each.patches:
            assert 30 <= patch.patch < 55 and 0 <= patch.x1 < patch.x2 <= 1 and 0 <= patch.y1 < patch.y2 <= 1
            x, y = (patch.x1 + patch.x2) / 2, (patch.y1 + patch.y2) / 2
            assert 0.15 < x < 0.85 and 0.15 < y < 0.85  # on the product, which fills the middle
    assert ranker.explain("the red ellipse bag", hit.product.id, hit.product.view) == hit.why
    assert ranker.explain("red", "none", 0) == [] == ranker.explain("", hit.product.id, 0)


@pytest.fixture
def uncalibrated(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Ranker:
    """Of a run whose catalogue was too small to fit match probabilities."""
    info = replace(shop.ranker().store.info, calibration={})
    monkeypatch.setattr(type(shop.ranker().store), "info", property(lambda _: info), raising=False)
    return shop.ranker(calibration={"missing": "too few products"})


def test_without_calibration_hits_have_no_percentages_and_the_answer_says_why(uncalibrated: Ranker) -> None:
    answer = uncalibrated.answer(Query("red ellipse bag", top=12))
    assert len(answer.hits) == 12 and {hit.match for hit in answer.hits} == {None}
    assert not answer.weak and "red" in answer.hits[0].product.title
    assert "no match percentages: too few products; " in answer.note and "kaleidobert fit-ranker" in answer.note
    with pytest.raises(InputError, match="leave the threshold out: hits have no match"):
        uncalibrated.answer(Query("red bag", threshold=0.5))


def test_without_calibration_the_order_is_that_of_the_embeddings(uncalibrated: Ranker, shop: Shop) -> None:
    plain = {"rerank": 0, "hybrid": 0.0, "understand": False, "top": 12}
    expected = [hit.product.id for hit in shop.ranker().search("red ellipse bag", **plain)]
    assert [hit.product.id for hit in uncalibrated.search("red ellipse bag", **plain)] == expected
    for query in (Query("bag", like="p01"), Query("bag", image=open_image(drawn("red", "ellipse")), avoid="blue")):
        assert uncalibrated.answer(query).hits


def test_an_empty_answer_says_why(shop: Shop) -> None:
    ranker = shop.ranker()
    wrong = Filters.of({"colour": "reddish"})
    assert ranker.search("bag", filters=wrong) == []
    assert "check the spelling" in ranker.why_nothing(wrong)
    assert ranker.why_nothing(Filters.of({"color": "red"})) == (
        "No product has 'color'; filters are: category, subcategory, colour, fabric."
    )
    assert "lower the threshold" in ranker.why_nothing()
    assert ranker.why_nothing(parse_filters(["colour<=3"])) == (
        "'colour' is a number in no product: filter it by colour=VALUE."
    )
    assert "check the spelling" in ranker.answer(Query("bag", filters=wrong)).nothing


@pytest.mark.parametrize("query", ["", "  "])
def test_an_empty_query_is_refused(shop: Shop, query: str) -> None:
    with pytest.raises(InputError, match="the query is empty"):
        shop.ranker().search(query)


@pytest.mark.parametrize("name", ["text", "like", "avoid"])
def test_half_a_pair_of_surrogates_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=rf"{name} is not valid Unicode text: 'bag \\udce9'"):
        Query(**{"text": "bag", name: "bag \udce9"}).check()


def test_a_store_of_another_model_is_refused_at_the_next_query(
    shop: Shop, other_model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ranker = shop.ranker()
    other = replace(ranker.store.info, fingerprint="0" * 16, model=str(other_model_folder))
    monkeypatch.setattr(type(ranker.store), "info", property(lambda _: other), raising=False)
    with pytest.raises(InputError, match="index"):
        ranker.search("bag")


def test_answers_from_many_threads_are_the_same(shop: Shop) -> None:
    ranker = shop.ranker()
    expected = [hit.product.id for hit in ranker.search("blue ellipse")]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: ranker.search("blue ellipse"), range(16)))
    assert all([hit.product.id for hit in hits] == expected for hits in answers)


def test_stages_are_timed(shop: Shop) -> None:
    seconds = shop.ranker().answer(Query("blue ellipse")).seconds
    assert list(seconds) == ["encode", "recall", "rerank", "facets", "why", "photos"]
    assert all(seconds[stage] > 0 for stage in ("encode", "recall", "rerank", "photos"))


@pytest.mark.parametrize("shop", ["lancedb"], indirect=True)
def test_a_missing_model_folder_is_reported(shop: Shop, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no model folder at .*gone"):
        Ranker.open(shop.uri, tmp_path / "gone")
    with pytest.raises(InputError, match="it has no config.json"):
        Ranker.open(shop.uri, tmp_path)


def test_words_are_explained_on_what_the_run_s_own_detector_finds(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A detector that sees a product in the upper half alone leaves no other patch to a word."""

    def upper_half(image: Image.Image) -> np.ndarray:
        return np.repeat(np.arange(image.height)[:, None] < image.height / 2, image.width, axis=1).astype(np.float32)

    ranker = shop.ranker()
    processor = ranker.scorer.processor.image_processor
    monkeypatch.setitem(DETECTORS, "upper-half", upper_half)
    before = [patch.y1 for each in ranker.search("red bag", why=True, top=1)[0].why or [] for patch in each.patches]
    monkeypatch.setattr(processor, "saliency", "upper-half")
    hit = shop.ranker().search("red bag", why=True, top=1)[0]
    tops = [patch.y1 for each in hit.why or [] for patch in each.patches]
    assert tops and max(tops) < 0.5 < max(before)


def test_a_rerank_without_effect_is_told(shop: Shop) -> None:
    idle = shop.ranker(joint_weight={"TIR": 0.0, "ITR": 1.0})
    assert idle.answer(Query("red bag", rerank=7)).note == (
        "rerank 7 has no effect: the joint model was fitted a weight of 0"
    )
    assert idle.answer(Query("red bag")).note == idle.answer(Query("red bag", rerank=0)).note == ""
    ranker = shop.ranker()
    assert ranker.answer(Query("red bag", rerank=7)).note == ""
    assert "reads a text, and there is none" in ranker.answer(Query(like="p03", rerank=7)).note


def test_ids_are_all_ranked_products_with_variants(shop: Shop) -> None:
    ranker = shop.ranker()
    [ids] = ranker.ids([Query("red bag", top=10)])
    assert sorted(ids) == sorted(product.id for product in shop.products)
    listed = [hit.product.id for hit in ranker.search("red bag", top=12)]
    assert [each for each in ids if each in listed] == listed


def test_a_joint_model_without_weight_is_not_used(shop: Shop) -> None:
    ranker = shop.ranker(joint_weight={"TIR": 0.0, "ITR": 1.0})
    assert ranker.search("red bag", top=5) == ranker.search("red bag", top=5, rerank=0)


def styles() -> list[Product]:
    """Four styles of sixty sizes each, and sixty skirts."""
    dresses = [
        Product(
            id=f"dress-{style}-{size}",
            title=f"red dress {style}",
            attributes={"item_group_id": f"style-{style}", "size": str(size)},
            images=(drawn("red", "ellipse"),),
        )
        for style in range(4)
        for size in range(60)
    ]
    skirts = [
        Product(id=f"skirt-{number}", title=f"skirt {number}", images=(drawn("blue", "rectangle"),))
        for number in range(60)
    ]
    return dresses + skirts


def test_cached_orders_are_bounded_by_all_their_hits(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """An order holds up to sixteen thousand products, so a number of orders would not bound the memory."""
    monkeypatch.setattr("kaleidobert.search.ranker.CACHED_HITS", 30)
    ranker = shop.ranker()
    for colour in COLOURS:
        assert len(ranker.search(f"{colour} bag", top=12)) == 12
    assert sum(len(order.hits) for order in ranker._orders.values()) == 24


@pytest.mark.parametrize("writable_shop", ["memory"], indirect=True)
def test_groups_do_not_end_the_pages(writable_shop: Shop) -> None:
    shop = replace(writable_shop, products=styles()).in_memory()
    ranker = shop.ranker()
    assert len(ranker.search("red dress", top=120)) == 64
    pages, offset = [], 0
    while offset is not None:
        answer = ranker.answer(Query("red dress", top=10, offset=offset))
        pages += [hit.product.id for hit in answer.hits]
        offset = answer.next_offset
    assert len(set(pages)) == len(pages) == 64
    fresh = shop.ranker()
    assert [hit.product.id for hit in fresh.search("red dress", top=10, offset=20)] == pages[20:30]
    assert [hit.product.id for hit in fresh.search("red dress", top=10)] == pages[:10]


def test_facets_of_a_chosen_name_keep_its_other_values(shop: Shop) -> None:
    ranker = shop.ranker()
    free = ranker.answer(Query("bag", facets=())).facets
    chosen = ranker.answer(Query("bag", filters=Filters.of({"colour": "red"}), facets=()))
    assert chosen.facets["colour"] == free["colour"] and len(free["colour"]) == 6
    assert chosen.total == 2 and chosen.facets["subcategory"] == [("ellipse", 1), ("rectangle", 1)]
    both = ranker.answer(Query("bag", filters=Filters.of({"colour": "red", "subcategory": "ellipse"}), facets=()))
    assert dict(both.facets["subcategory"]) == {"ellipse": 1, "rectangle": 1}
    assert dict(both.facets["colour"]) == dict.fromkeys(COLOURS, 1)


def test_a_product_s_own_id_comes_first(shop: Shop) -> None:
    for text in ("p07", " p07 "):
        hit = shop.ranker(**JOINT).search(text, top=3)[0]
        assert (hit.product.id, hit.match) == ("p07", 1.0)
    assert shop.ranker().search("p07", filters=Filters.of({"colour": "red"}), top=3)[0].product.id != "p07"


@pytest.mark.parametrize("text", ["🔥👗", "the", "12345"])
def test_a_query_without_words_is_answered_honestly(shop: Shop, text: str) -> None:
    ranker = shop.ranker()
    answer = ranker.answer(Query(text))
    assert answer.hits == [] and answer.weak
    assert "no words to search for" in ranker.why_nothing(text=text)
    assert ranker.search(text, like="p01", top=3)  # a product to resemble is enough


def test_words_count_as_fitted(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    ranker = shop.ranker()
    fitted = replace(KNOWN, vectors_words=WORDS, combined_words=WORDS)
    monkeypatch.setattr(ranker, "_retriever", CandidateRetriever(ranker.scorer, ranker.store, fitted))
    for query in ("purple rectangle", "PURPLE rectangels", "rectangle purpel"):
        assert ranker.search(query, top=1, understand=False)[0].product.title == "purple rectangle bag"
    without = ranker.search("purple rectangle", top=12, hybrid=0.0, understand=False)
    assert [hit.product.id for hit in without] == [
        hit.product.id for hit in shop.ranker().search("purple rectangle", top=12, understand=False)
    ]


def test_preferred_values_raise_the_match_and_can_be_ignored(shop: Shop) -> None:
    ranker = shop.ranker()
    plain = {hit.product.id: hit.match for hit in ranker.search("green thing", top=12, understand=False)}
    found = {hit.product.id: hit.match for hit in ranker.search("green thing", top=12)}
    assert {each for each in found if found[each] > plain[each] + 1e-6} == {"p01", "p07"}
    ignored = ranker.search("green thing", top=12, ignore=("colour=green",))
    assert {hit.product.id: hit.match for hit in ignored} == pytest.approx(plain)


@pytest.mark.parametrize("writable_shop", ["memory"], indirect=True)
def test_a_number_that_is_an_id_or_a_code_is_looked_up(writable_shop: Shop) -> None:
    products = [
        replace(each, attributes=dict(each.attributes) | {"EAN": f"400{n}"}) for n, each in enumerate(catalogue())
    ]
    shop = replace(writable_shop, products=[replace(products[0], id="10042"), *products[1:]]).in_memory()
    ranker = shop.ranker()
    assert [hit.product.id for hit in ranker.search("10042")] == ["10042"]
    assert ranker.search("4003")[0].product.id == "p03"
    red = ranker.search("4003", filters=Filters.of({"colour": "red"}))
    assert "p03" not in {hit.product.id for hit in red} and all(hit.match < 1 for hit in red)


def test_a_threshold_ends_the_search_at_the_first_tier_below_it(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    ranker = shop.ranker()
    monkeypatch.setattr("kaleidobert.search.candidates.TIERS", (4, 8, 10, 12, 14))
    depths = []
    retrieve = CandidateRetriever.retrieve
    monkeypatch.setattr(CandidateRetriever, "retrieve", lambda self, *a: depths.append(a[-1]) or retrieve(self, *a))
    matches = [hit.match for hit in ranker.search("bag", rerank=0, top=4, understand=False)]
    depths.clear()
    answer = ranker.answer(Query("bag", rerank=0, threshold=min(matches), understand=False))
    assert depths in ([0, 1], [0, 1, 2]) and answer.exact and answer.total >= 4  # of 0 to 3


def test_a_photo_search_heeds_rules_and_an_explanation_leaves_out_what_is_refused(shop: Shop) -> None:
    words = [each.word for each in shop.ranker().explain("red bag without stripes", "p00", 0)]
    assert words == ["red", "bag"]
