import pytest

from kaleidobert.evaluation.metrics.classification import classification_metrics, per_class_metrics

# a is predicted as b once, b as c once, c as a. Class d neither occurs nor is predicted.
TRUTH, PREDICTED = "a a a a b b c".split(), "a a a b b c a".split()


def columns(truth, predicted, classes):
    rows = per_class_metrics(list(truth), list(predicted), classes)
    assert list(rows) == list(classes)
    return {name: [row[name] for row in rows.values()] for name in ("precision", "recall", "f1", "support")}


def test_a_hand_written_table():
    table = columns(TRUTH, PREDICTED, "abcd")
    assert table["precision"] == pytest.approx([75, 50, 0, 0])
    assert table["recall"] == pytest.approx([75, 50, 0, 0])
    assert table["f1"] == pytest.approx([75, 50, 0, 0])
    assert table["support"] == [4, 2, 1, 0]
    metrics = classification_metrics(TRUTH, PREDICTED)
    assert metrics["accuracy"] == metrics["micro_f1"] == pytest.approx(100 * 4 / 7)
    assert metrics["macro_f1"] == pytest.approx((75 + 50 + 0) / 3)  # d does not occur
    assert metrics["SumCLS"] == pytest.approx(2 * 100 * 4 / 7 + 125 / 3)


def test_precision_and_recall_are_not_mixed_up():
    table = columns("aaaabbbb", "aabbbbbb", "ab")
    assert table["precision"] == pytest.approx([100, 100 * 4 / 6]) and table["recall"] == pytest.approx([50, 100])
    assert table["f1"] == pytest.approx([100 * 2 / 3, 80])


def test_a_constant_prediction_scores_the_share_of_its_class():
    metrics = classification_metrics(list("abcd") * 5, ["a"] * 20)
    assert metrics["accuracy"] == 25 and metrics["macro_f1"] == pytest.approx(40 / 4)


def test_a_class_that_is_predicted_but_never_true_counts_in_macro_f1():
    metrics = classification_metrics(list("aab"), list("acb"))
    assert metrics["macro_f1"] == pytest.approx((100 * 2 / 3 + 100 + 0) / 3)
    assert columns("aab", "acb", "abc")["support"] == [2, 1, 0]
