"""Captioning from fine-tuning to the CLI, on the drawn catalogue, with a stand-in for the COCO tools."""

import json
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from kaleidobert.cli.main import app
from kaleidobert.errors import InputError
from kaleidobert.evaluation import captioning
from kaleidobert.evaluation.captioning import evaluate_captioning
from kaleidobert.evaluation.metrics import captioning as metrics
from kaleidobert.evaluation.metrics.captioning import METRICS
from kaleidobert.model.losses import NO_LABEL
from kaleidobert.training.downstream import CaptioningCollator
from kaleidobert.training.finetune import finetune, finetune_settings

pytestmark = pytest.mark.usefixtures("shared_cache")


@pytest.fixture(scope="module")
def captioner(run, shapes, prepared, tmp_path_factory):
    out = tmp_path_factory.mktemp("captions") / "run"
    overrides = ["training.learning_rate=5e-3", "training.epochs=50", "training.evaluate_every=100"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KALEIDOBERT_CACHE", str(prepared))
        settings = finetune_settings("captioning", run, overrides)
        figures = finetune("captioning", shapes, run, out, settings)
    (out / "returned.json").write_text(json.dumps(figures))
    return out


@pytest.fixture
def stand_in(monkeypatch):
    """Stands in for every metric but SPICE: the share of correct words."""

    def metrics_of(references, captions):
        pairs = zip(references, captions, strict=True)
        hits = [len(set(text.split()) & set(caption.split())) / 3 for text, caption in pairs]
        share = 100 * sum(hits) / len(hits)
        computed = METRICS[:-1]
        sums = {"SumCAP": 4 * share, "SumCAP_of": list(computed), "not_computed": {"SPICE": "no models"}}
        return {**dict.fromkeys(computed, share), "SPICE": None, **sums}

    monkeypatch.setattr(captioning, "check_dependencies", lambda: None)
    monkeypatch.setattr(captioning, "captioning_metrics", metrics_of)


@pytest.mark.usefixtures("stand_in")
def test_a_run_learns_to_caption(captioner, shapes):
    returned = json.loads((captioner / "returned.json").read_text())
    assert returned["eval_captioning_accuracy"] > 0.85  # without the photo about 0.5
    figures = evaluate_captioning(shapes, captioner, products=20)
    assert figures["products"] == 20 and figures["BLEU-4"] > 80  # share of correct words; by guessing: 32
    rows = json.loads((captioner / "evaluation" / "captions-test-20-beams3.json").read_text())
    assert len(rows) == 20 and len({row["caption"] for row in rows}) > 2
    assert all(row["caption"].split()[-1] in ("shirt", "bag") for row in rows)
    saved = json.loads((captioner / "evaluation" / "captioning-test-20-beams3.json").read_text())
    assert saved == figures and saved["SPICE"] is None


def test_batches_hold_whole_texts(catalogue, tokenizer):
    changed = [f"{text} of cotton" for text in catalogue.texts]
    whole = replace(catalogue.head(16), texts=changed[:16])
    batch = CaptioningCollator(whole, tokenizer, seed=0, augmented=True)(range(16))
    assert set(batch) == {"pixel_values", "input_ids", "attention_mask", "labels"}
    expected = tokenizer(changed[:16], padding=True, return_tensors="pt")["input_ids"]
    assert batch["input_ids"].tolist() == expected.tolist()
    assert batch["labels"].tolist() == expected.masked_fill(expected == tokenizer.pad_token_id, NO_LABEL).tolist()


def test_missing_tools_are_reported_first(shapes, tmp_path, monkeypatch):
    monkeypatch.setattr(metrics, "find_spec", lambda _: None)
    with pytest.raises(InputError, match="install it with"):
        evaluate_captioning(shapes, tmp_path)


@pytest.mark.usefixtures("stand_in")
def test_a_pre_training_run_does_not_caption(run, shapes):
    with pytest.raises(InputError, match="not fine-tuned for captioning"):
        evaluate_captioning(shapes, run)


@pytest.mark.usefixtures("stand_in")
def test_the_verbs(captioner, shapes, drawn_products, tmp_path):
    def invoke(*arguments):
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    options = ("--queries", 8, "--beams", 1, "--json", tmp_path / "figures.json")
    evaluated = invoke("evaluate", "captioning", shapes, "--model", captioner, *options)
    assert evaluated.exit_code == 0, evaluated.output
    assert "SPICE is not computed: no models" in evaluated.output
    assert json.loads((tmp_path / "figures.json").read_text())["SPICE"] is None
    photo = tmp_path / "photo.png"
    photo.write_bytes(drawn_products(1, 9)[0]["images"][0])
    described = invoke("describe", photo, "--model", captioner)
    assert described.exit_code == 0 and described.output.startswith("title: ") and len(described.output.split()) > 2
    refused = invoke("evaluate", "captioning", shapes, "--model", captioner, "--protocol", "full")
    assert isinstance(refused.exception, InputError) and "goes with retrieval" in str(refused.exception)
