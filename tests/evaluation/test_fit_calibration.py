import numpy as np
import pytest

from kaleidobert.errors import InputError
from kaleidobert.evaluation.fit_calibration import fit_calibration, make_queries, visible_words, words_of
from kaleidobert.evaluation.report import draw_reliability
from kaleidobert.evaluation.retrieval import encode
from kaleidobert.model import load_run
from kaleidobert.scoring.calibration import Calibration

pytestmark = pytest.mark.usefixtures("shared_cache")


def test_a_run_s_matches_are_probabilities_by_score_and_words(copy, test_split, tmp_path):
    figures = fit_calibration(copy, test_split)
    model, _ = load_run(copy)
    known = Calibration.of(model.config.calibration, str(copy))
    assert model.config.calibration == figures["calibration"] == known.as_dict()
    one, other = known.text(np.array([1.0, 2.0]), ["red", "bag"])
    assert 0 < one < other < 1
    assert 0 <= figures["vectors"]["ECE"] < 0.2 and 0 <= known.weak < 1
    draw_reliability(figures, tmp_path / "reliability.png")
    assert (tmp_path / "reliability.png").stat().st_size > 5000


def test_words_that_no_product_says_lower_a_match(copy, test_split):
    fit_calibration(copy, test_split)
    known = Calibration.of(load_run(copy)[0].config.calibration, str(copy))
    assert known.features([None])[0] < known.features(["qwertz"])[0] == known.features(["QWERTZ"])[0]
    assert known.features(["red", "bag"])[1] == pytest.approx(np.log(2))


def test_a_visible_word_is_one_whose_products_are_near(copy, test_split):
    model, processor = load_run(copy)
    seen, unknown = visible_words(model, processor, test_split, encode(model, processor, test_split))
    assert {"red", "bag", "circle"} <= seen.keys()
    assert all(0 < share <= 1 for share in seen.values()) and 0 < unknown < 1


def test_queries_are_of_titles_words():
    titles = ["red circle shirt", "blue square bag", "the 42"]
    queries = make_queries(titles, 2, np.random.default_rng(0))
    known = {word for title in words_of(titles) for word in title}
    assert len(queries) == 2 and all(query and set(query.split()) <= known for query in queries)


def test_too_few_products_are_refused(copy, test_split):
    with pytest.raises(InputError, match="too few"):
        fit_calibration(copy, test_split.head(3))
