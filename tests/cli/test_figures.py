"""How figures are printed."""

import pytest

from kaleidobert.cli.figures import print_retrieval


def row(value: float) -> dict:
    recalls = {f"R@{k}": value for k in (1, 5, 10)}
    return {"TIR": recalls, "ITR": recalls, "SumR": 6 * value}


def test_retrieval_has_a_row_per_scorer_in_the_order_of_the_figures(capsys: pytest.CaptureFixture[str]) -> None:
    scorers = {"vectors": row(10.0), "lm": row(20.0), "another": row(30.0)}
    figures = {"protocol": "101", "split": "test", "queries": 20, "rerank": 5, "seed": 0, "draws": 1}
    figures["weights"] = {"without_memory": {"joint_weight": {"TIR": 0.5, "ITR": 0.0}}}
    print_retrieval({**figures, "intervals": {name: {"TIR": {}} for name in scorers}, **scorers})
    printed = capsys.readouterr().out.splitlines()
    assert printed[-1] == (
        "combined is vectors in ITR: the joint model was fitted a weight of 0; re-ranking changes nothing there"
    )
    rows = [line.split("│") for line in printed if line.startswith("│")]
    assert [(cells[1].strip(), cells[-2].strip()) for cells in rows] == [
        ("vectors", "60.0"),
        ("lm", "120.0"),
        ("another", "180.0"),
    ]
