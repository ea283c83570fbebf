"""How figures are printed."""

import pytest

from kaleidobert.cli.figures import print_retrieval, print_search


def row(value: float) -> dict:
    recalls = {f"R@{k}": value for k in (1, 5, 10)}
    return {"TIR": recalls, "ITR": recalls, "SumR": 6 * value}


def test_retrieval_has_a_row_per_scorer_in_the_order_of_the_figures(capsys: pytest.CaptureFixture[str]) -> None:
    scorers = {"vectors": row(10.0), "lm": row(20.0), "another": row(30.0)}
    figures = {"protocol": "101", "split": "test", "queries": 20, "candidates": 30, "rerank": 5, "seed": 0, "draws": 1}
    figures["weights"] = {"without_memory": {"joint_weight": {"TIR": 0.5, "ITR": 0.0}}}
    print_retrieval({**figures, "intervals": {name: {"TIR": {}} for name in scorers}, **scorers})
    printed = capsys.readouterr().out.splitlines()
    assert "20 queries of test, each among 30 candidates" in " ".join(" ".join(printed).split())
    assert printed[-1] == (
        "combined is vectors in ITR: the joint model was fitted a weight of 0; re-ranking changes nothing there"
    )
    rows = [line.split("│") for line in printed if line.startswith("│")]
    assert [(cells[1].strip(), cells[-2].strip()) for cells in rows] == [
        ("vectors", "60.0"),
        ("lm", "120.0"),
        ("another", "180.0"),
    ]


def test_search_figures_fit_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    names = ("vectors", "vectors + joint", "vectors + words", "vectors + joint + words", "BM25 of all words")
    row = {kind: {"nDCG@10": 0.5, "P@1": 0.25, "P@10": 1.0, "empty": 0.0} for kind in ("use + type", "all")}
    figures = {"queries": 3, "split": "test", "products": 9, "kinds": {"use + type": 3}, "unjudged": 0}
    print_search(figures | {"rows": dict.fromkeys(names, row)})
    printed = capsys.readouterr().out.splitlines()
    assert max(map(len, printed)) <= 80 and "…" not in "".join(printed)
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in printed if line.startswith("│")]
    assert cells[0] == ["use + type"] + ["50.0"] * 5 and cells[-1] == ["weak"] + ["-"] * 5
