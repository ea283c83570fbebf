import numpy as np
import pytest

from kaleidobert.errors import InputError
from kaleidobert.evaluation.fit_calibration import fit_calibration, make_queries, word_visibility, words_of
from kaleidobert.evaluation.pair_scores import encode
from kaleidobert.evaluation.report import draw_reliability
from kaleidobert.scoring.calibration import Calibration
from kaleidobert.scoring.ranking import Ranking
from kaleidobert.scoring.scorer import KaleidoBertScorer

pytestmark = pytest.mark.usefixtures("shared_cache")


@pytest.fixture(params=["without the memory", "with the memory"])
def scorer(run, request):
    scorer = KaleidoBertScorer.from_pretrained(run)
    return scorer if request.param == "with the memory" else scorer.without_memory()


@pytest.fixture
def encoded(scorer, test_split):
    return encode(scorer, test_split)


def test_a_run_s_matches_are_probabilities_by_score_and_words(scorer, encoded, test_split, tmp_path):
    known, figures = fit_calibration(scorer, test_split, encoded)
    assert Calibration.of(known.as_dict(), 1.0) == known and known.weak == figures["weak"]
    assert bool(known.combined) == bool(scorer.weights.joint_weight["TIR"]) == ("combined" in figures)
    one, other = known.text(np.array([1.0, 2.0]), ["red", "bag"])
    assert 0 < one < other < 1
    assert 0 <= figures["vectors"]["ECE"] < 0.2 and 0 <= known.weak < 1
    draw_reliability(figures, tmp_path / "reliability.png")
    assert (tmp_path / "reliability.png").stat().st_size > 5000


def test_a_run_keeps_the_calibration_of_each_fit(run):
    ranking = Ranking.load(run)
    known = [Calibration.of(fit.calibration, 1.0) for fit in (ranking.without_memory, ranking.with_memory)]
    assert known[0] != known[1] and all(each.as_dict()["words"] for each in known)
    scorer = KaleidoBertScorer.from_pretrained(run)
    assert [Calibration.of(each.weights.calibration, 1.0) for each in (scorer.without_memory(), scorer)] == known


def test_words_that_no_product_says_lower_a_match(scorer, encoded, test_split):
    known, _ = fit_calibration(scorer, test_split, encoded)
    assert known.features([None])[0] < known.features(["qwertz"])[0] == known.features(["QWERTZ"])[0]
    assert known.features(["red", "bag"])[1] == pytest.approx(np.log(2))


def test_a_visible_word_is_one_whose_products_are_near(scorer, encoded, test_split):
    seen, unknown = word_visibility(scorer, test_split, encoded)
    assert {"red", "bag", "circle"} <= seen.keys()
    assert all(0 < share <= 1 for share in seen.values()) and 0 < unknown < 1


def test_queries_are_of_titles_words():
    titles = ["red circle shirt", "blue square bag", "the 42"]
    queries = make_queries(titles, 2, np.random.default_rng(0))
    known = {word for title in words_of(titles) for word in title}
    assert len(queries) == 2 and all(query and set(query.split()) <= known for query in queries)


def test_too_few_products_are_refused(scorer, encoded, test_split):
    with pytest.raises(InputError, match="too few"):
        fit_calibration(scorer, test_split.head(3), encoded)
