import shutil

import pytest

from kaleidobert.errors import InputError
from kaleidobert.evaluation.metrics import captioning
from kaleidobert.evaluation.metrics.captioning import METRICS, captioning_metrics, check_dependencies


def broken(*_):
    raise OSError("no such\nprogram")


def test_what_cannot_be_computed_is_none_and_not_in_the_sum(monkeypatch):
    monkeypatch.setattr(captioning, "check_dependencies", lambda: None)
    monkeypatch.setattr(captioning, "_tokenize", lambda texts: {number: [text] for number, text in enumerate(texts)})
    values = {"BLEU-4": 0.1, "ROUGE-L": 0.25, "CIDEr": 0.5}
    for name in METRICS:
        scorer = (lambda *_, name=name: values[name]) if name in values else broken
        monkeypatch.setitem(captioning.SCORERS, name, scorer)
    figures = captioning_metrics(["a red shirt"], ["a red bag"])
    assert figures["METEOR"] is figures["SPICE"] is None
    assert (figures["BLEU-4"], figures["ROUGE-L"], figures["CIDEr"]) == (10, 25, 50)
    assert figures["SumCAP"] == 85 and figures["SumCAP_of"] == ["BLEU-4", "ROUGE-L", "CIDEr"]
    assert figures["not_computed"]["SPICE"] == "OSError: no such program"
    for name in values:
        monkeypatch.setitem(captioning.SCORERS, name, broken)
    nothing = captioning_metrics(["a red shirt"], ["a red bag"])
    assert nothing["SumCAP"] is None and nothing["SumCAP_of"] == []


def test_missing_dependencies_are_one_line_errors(monkeypatch):
    monkeypatch.setattr(captioning, "find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"pip install 'kaleidobert\[metrics\]'$"):
        check_dependencies()
    monkeypatch.setattr(captioning, "find_spec", lambda _: True)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(InputError, match="no working java; install a Java runtime$"):
        check_dependencies()


@pytest.mark.skipif(shutil.which("java") is None, reason="no Java")
def test_the_tools_themselves():
    pytest.importorskip("pycocoevalcap")
    texts = ["A red cotton shirt, with short sleeves.", "black leather bag with a long strap", "blue jeans for men"]
    same = captioning_metrics(texts, [text.upper() for text in texts])
    for name in ("BLEU-4", "METEOR", "ROUGE-L"):
        assert same[name] == pytest.approx(100, abs=0.1), name
    other = captioning_metrics(texts, texts[1:] + texts[:1])
    assert all(other[name] < same[name] for name in ("BLEU-4", "METEOR", "ROUGE-L", "CIDEr"))
    assert set(same["SumCAP_of"]) | set(same["not_computed"]) == set(METRICS)
