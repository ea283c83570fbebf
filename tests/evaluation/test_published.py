"""The publication's tables: their sums hold, and own evaluations are added, marked by their data."""

import json

import pytest

from kaleidobert.evaluation.published import RETRIEVAL, TASKS, data_note, published_tables
from kaleidobert.evaluation.report import report
from kaleidobert.evaluation.retrieval import evaluate_retrieval

pytestmark = pytest.mark.usefixtures("shared_cache")


def test_the_published_sums_are_those_of_their_rows():
    for row in RETRIEVAL.values():
        assert sum(row[:6]) == pytest.approx(row[6], abs=0.011)
    for row in TASKS.values():
        assert sum(row[:4]) == pytest.approx(row[4], abs=0.011)
        if row[9] is not None:
            assert sum(row[5:9]) == pytest.approx(row[9], abs=0.051)


def test_other_data_is_marked():
    assert data_note({"data": "fashiongen_256_256_validation.h5"}) == "Fashion-Gen"
    assert data_note({"data": "shoes"}) == "shoes: another data set, not comparable with Fashion-Gen"
    assert "not comparable" in data_note({})


def test_retrieval_is_compared_with_the_publication(copy, shapes, tmp_path):
    assert "OSCAR" not in report([copy], tmp_path / "page.html")[0].read_text()
    figures = evaluate_retrieval(shapes, copy, queries=20)
    page = report([copy], tmp_path / "page.html")[0].read_text()
    assert "<th>OSCAR</th><td>23.4</td>" in page and "Table 2" in page and "Table 3" not in page
    row = f"vectors, 101, 20 queries ({shapes.name}: another data set, not comparable with Fashion-Gen)</th>"
    assert f"{row}<td>{figures['vectors']['ITR']['R@1']:.1f}</td>" in page


def test_tasks_of_several_runs_share_a_row(tmp_path):
    """Sums are those of the publication: no micro-F, no SPICE; what one run lacks is None, not 0."""
    common = {"split": "test", "data": "shoes", "products": 9}
    recognised = {"accuracy": 90.0, "micro_f1": 90.0, "macro_f1": 80.0, "inputs": "both"}
    spoken = {"BLEU-4": 1.0, "METEOR": 2.0, "ROUGE-L": 3.0, "CIDEr": 4.0, "SPICE": 5.0}
    found = {"category": recognised, "subcategory": recognised | {"accuracy": 70.0}, "captioning": spoken}
    for task, figures in found.items():
        (tmp_path / task / "evaluation").mkdir(parents=True)
        text = json.dumps({"task": task, **common, **figures})
        (tmp_path / task / "evaluation" / f"{task}-test.json").write_text(text)
    [table] = published_tables({task: tmp_path / task for task in found})
    note = "(shoes: another data set, not comparable with Fashion-Gen)"
    rows = {row.heading: row.cells for row in table.groups["Evaluated here"]}
    assert len(rows) == 4 and rows[f"category {note}"] == [90, 80, None, None, None, None, None, None, None, None]
    assert rows[f"captioning and category and subcategory {note}"] == [90, 80, 70, 80, 320, 1, 2, 3, 4, 10]
