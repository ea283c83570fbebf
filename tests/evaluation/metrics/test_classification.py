import numpy as np
import pytest

from kaleidobert.evaluation.metrics.classification import class_table, classification_figures, confusion_counts

# True classes a a a a b b c; a is taken for b once, b for c once, c for a. Nobody is or is taken for d.
TRUTH, PREDICTED = [0, 0, 0, 0, 1, 1, 2], [0, 0, 0, 1, 1, 2, 0]
COUNTS = [[3, 1, 0, 0], [0, 1, 1, 0], [1, 0, 0, 0], [0, 0, 0, 0]]


def test_a_hand_written_table():
    counts = confusion_counts(np.array(TRUTH), np.array(PREDICTED), 4)
    assert counts.tolist() == COUNTS
    table = class_table(counts)
    assert table["precision"] == pytest.approx([75, 50, 0, 0])
    assert table["recall"] == pytest.approx([75, 50, 0, 0])
    assert table["f1"] == pytest.approx([75, 50, 0, 0])
    assert table["support"].tolist() == [4, 2, 1, 0]
    figures = classification_figures(counts)
    assert figures["accuracy"] == figures["micro_f1"] == pytest.approx(100 * 4 / 7)
    assert figures["macro_f1"] == pytest.approx((75 + 50 + 0) / 3)  # d does not occur
    assert figures["SumCLS"] == pytest.approx(2 * 100 * 4 / 7 + 125 / 3)


def test_precision_and_recall_are_not_mixed_up():
    table = class_table(np.array([[2, 2], [0, 4]]))
    assert table["precision"] == pytest.approx([100, 100 * 4 / 6]) and table["recall"] == pytest.approx([50, 100])
    assert table["f1"] == pytest.approx([100 * 2 / 3, 80])


def test_a_constant_guess_scores_its_share_and_no_more():
    counts = confusion_counts(np.array([0, 1, 2, 3] * 5), np.zeros(20, int), 4)
    figures = classification_figures(counts)
    assert figures["accuracy"] == 25 and figures["macro_f1"] == pytest.approx(40 / 4)


@pytest.mark.parametrize("seed", range(4))
def test_the_numbers_of_scikit_learn(seed):
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(seed)
    truth, predicted = rng.integers(0, 9, 60), rng.integers(0, 11, 60)  # some are predicted and never true
    counts = confusion_counts(truth, predicted, 11)
    assert counts.tolist() == metrics.confusion_matrix(truth, predicted, labels=range(11)).tolist()
    figures, table = classification_figures(counts), class_table(counts)
    assert figures["accuracy"] == pytest.approx(100 * metrics.accuracy_score(truth, predicted))
    for name in ("micro", "macro"):
        expected = 100 * metrics.f1_score(truth, predicted, average=name)
        assert figures[f"{name}_f1"] == pytest.approx(expected)
    columns = metrics.precision_recall_fscore_support(truth, predicted, labels=range(11), zero_division=0)
    for name, column in zip(("precision", "recall", "f1"), columns, strict=False):
        assert table[name] == pytest.approx(100 * column)
    assert table["support"].tolist() == columns[3].tolist()
