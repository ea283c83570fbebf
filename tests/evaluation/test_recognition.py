"""Category and sub-category recognition from fine-tuning to the CLI, on the drawn catalogue."""

import json
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from typer.testing import CliRunner

from kaleidobert.cli.main import app, main
from kaleidobert.errors import InputError
from kaleidobert.evaluation.recognition import draw_confusion, evaluate_recognition
from kaleidobert.evaluation.report import read_curves
from kaleidobert.model import KaleidoBertConfig, KaleidoBertForClassification, KaleidoBertForPreTraining
from kaleidobert.training.finetune import finetune, finetune_settings

pytestmark = pytest.mark.usefixtures("shared_cache")
QUICK = ("training.learning_rate=3e-3", "training.epochs=1")
CLASSES = {f"{shape} {kind}" for kind in ("shirt", "bag") for shape in ("circle", "square", "triangle", "bar")}


@pytest.fixture(scope="module")
def classifier(run, shapes, prepared, tmp_path_factory):
    """Fine-tuned for sub-categories from photo and text."""
    out = tmp_path_factory.mktemp("recognition") / "subcategory"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KALEIDOBERT_CACHE", str(prepared))
        settings = finetune_settings("subcategory", run, [*QUICK, "training.epochs=30"])
        figures = finetune("subcategory", shapes, run, out, settings)
    assert figures["products_left_out"] == 0 and figures["eval_classification_accuracy"] > 0.8
    return out


@pytest.fixture
def other_catalogue(drawn_products, tmp_path):
    """40 products to train on, 8 to validate, 20 to test; some lack a label, some are of classes not trained on."""
    folder = tmp_path / "other"
    folder.mkdir()
    for seed, (split, count) in enumerate({"train": 40, "validation": 8, "test": 20}.items()):
        rows = drawn_products(count, seed)
        for row in rows[:4]:
            row["subcategory"] = ""
        for row in rows[4:7] if split == "test" else []:
            row["subcategory"] = "cap" if row is rows[4] else "hat"
        pq.write_table(pa.Table.from_pylist(rows), folder / f"{split}.parquet")
    return folder


def test_a_run_learns_the_labels(classifier, shapes):
    config = KaleidoBertConfig.from_pretrained(classifier)
    assert set(config.label2id) == CLASSES and config.id2label == dict(enumerate(sorted(CLASSES)))
    assert (config.task, config.inputs, config.architectures) == (
        *("subcategory", "both"),
        ["KaleidoBertForClassification"],
    )
    figures = evaluate_recognition("subcategory", shapes, classifier)
    assert figures["accuracy"] > 80  # chance: 12.5
    assert figures["SumCLS"] == pytest.approx(sum(figures[name] for name in ("accuracy", "micro_f1", "macro_f1")))
    assert (figures["products"], figures["products_without_label"], figures["classes_never_trained"]) == (44, 0, 0)
    assert set(figures["per_class"]) == CLASSES == set(figures["confusion"]["classes"])
    assert sum(row["support"] for row in figures["per_class"].values()) == 44
    assert np.array(figures["confusion"]["counts"]).sum() == 44

    saved = json.loads((classifier / "evaluation" / "subcategory-test.json").read_text())
    assert saved == json.loads(json.dumps(figures))
    assert Image.open(classifier / "evaluation" / "subcategory-test.png").width > 300
    assert {"classification", "classification_accuracy"} <= set(read_curves(classifier))


def test_classes_that_were_never_trained_count_as_wrong(classifier, other_catalogue):
    figures = evaluate_recognition("subcategory", other_catalogue, classifier)
    assert (figures["products"], figures["products_without_label"]) == (16, 4)
    assert (figures["classes_never_trained"], figures["products_never_trained"]) == (2, 3)
    assert figures["accuracy"] <= 100 * 13 / 16 and figures["per_class"]["hat"]["recall"] == 0
    assert figures["per_class"]["hat"]["support"] == 2


@pytest.mark.parametrize("inputs", ["image", "text"])
def test_classifying_by_one_modality(run, other_catalogue, tmp_path, inputs):
    settings = finetune_settings("subcategory", run, [*QUICK, f"model.inputs={inputs}", "training.batch_size=12"])
    figures = finetune("subcategory", other_catalogue, run, tmp_path / "out", settings)
    assert figures["products_left_out"] == 4
    model = KaleidoBertForClassification.from_pretrained(tmp_path / "out")
    before = KaleidoBertForPreTraining.from_pretrained(run)
    assert model.config.inputs == inputs
    for modality in ("image", "text"):
        moved = model.kaleidobert.patch_encoder if modality == "image" else model.kaleidobert.get_input_embeddings()
        kept = before.kaleidobert.patch_encoder if modality == "image" else before.kaleidobert.get_input_embeddings()
        same = all((a == b).all() for a, b in zip(moved.parameters(), kept.parameters(), strict=True))
        assert same == (modality != inputs), modality


def test_what_cannot_be_trained_or_evaluated(run, classifier, drawn_products, shapes, tmp_path):
    with pytest.raises(InputError, match="was fine-tuned for subcategory, not for category"):
        evaluate_recognition("category", shapes, classifier)
    with pytest.raises(InputError, match="not a KaleidoBertForClassification"):
        evaluate_recognition("category", shapes, run)
    with pytest.raises(InputError, match="not a KaleidoBertForRetrieval"):
        finetune("retrieval", shapes, classifier, tmp_path / "out", finetune_settings("retrieval", classifier))
    rows = drawn_products(20, 3)
    for label, message in (("", "no product of train has a category"), ("shirt", "at least two classes")):
        folder = tmp_path / f"all-{label}"
        folder.mkdir()
        for split in ("train", "validation"):
            table = pa.Table.from_pylist([row | {"category": label} for row in rows])
            pq.write_table(table, folder / f"{split}.parquet")
        with pytest.raises(InputError, match=message):
            finetune("category", folder, run, tmp_path / "out", finetune_settings("category", run, QUICK))
    assert not (tmp_path / "out").exists()


def test_of_many_classes_the_most_frequent_are_drawn(tmp_path):
    counts = np.diag(np.arange(1, 91))
    draw_confusion(counts, [f"class {number}" for number in range(90)], "many", tmp_path / "many.png")
    draw_confusion(counts[:3, :3], ["a", "b", "c"], "few", tmp_path / "few.png")
    assert Image.open(tmp_path / "many.png").width > Image.open(tmp_path / "few.png").width


def test_the_verbs(run, other_catalogue, drawn_products, tmp_path):
    def invoke(*arguments):
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    out, figures = tmp_path / "out", tmp_path / "figures.json"
    sets = [part for each in (*QUICK, "training.batch_size=12") for part in ("--set", each)]
    tuned = invoke("finetune", "subcategory", other_catalogue, "--model", run, "--out", out, "--inputs", "image", *sets)
    assert tuned.exit_code == 0, tuned.output
    assert "left out 4 training products without a subcategory" in tuned.output
    measured = invoke("evaluate", "subcategory", other_catalogue, "--model", out, "--json", figures)
    assert measured.exit_code == 0, measured.output
    assert "left out 4 products without a subcategory" in measured.output
    assert "not trained on 2 of the classes; their 3 products count as wrong" in measured.output
    assert {"accuracy", "micro_f1", "macro_f1", "SumCLS", "per_class"} <= set(json.loads(figures.read_text()))

    photo = tmp_path / "photo.png"
    photo.write_bytes(drawn_products(1, 9)[0]["images"][0])
    described = invoke("describe", photo, "--model", out, "--json", figures)
    assert described.exit_code == 0, described.output
    classes = json.loads(figures.read_text())["subcategory"]
    shares = [each["probability"] for each in classes]
    assert len(classes) == 3 and shares == sorted(shares, reverse=True) and 0 < sum(shares) <= 100.01
    assert described.output.startswith(f"subcategory: {classes[0]['label']} {shares[0]:.1f} %")
    again = invoke("describe", photo, "--model", out, "--model", out)
    assert "give one run per task" in str(again.exception)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["evaluate", "category", "DATA", "--model", "RUN", "--queries", "5"], "--queries goes with retrieval"),
        (["evaluate", "category", "DATA", "--model", "RUN"], "not a KaleidoBertForClassification"),
        (["finetune", "retrieval", "DATA", "--model", "RUN", "--out", "OUT", "--inputs", "text"], "--inputs text goes"),
        (["describe", "PHOTO", "--model", "RUN"], "not fine-tuned for category, subcategory or captioning"),
        (["describe", "PHOTO", "--model", "TUNED"], "give it with --text"),
        (["describe", "OUT", "--model", "TUNED"], "no such file"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    arguments, message, run, classifier, shapes, drawn_products, tmp_path, monkeypatch, capsys
):
    (tmp_path / "photo.png").write_bytes(drawn_products(1, 9)[0]["images"][0])
    places = {"DATA": shapes, "RUN": run, "OUT": tmp_path / "out", "PHOTO": tmp_path / "photo.png"}
    places["TUNED"] = classifier
    given = [str(places.get(argument, argument)) for argument in arguments]
    monkeypatch.setattr(sys, "argv", ["kaleidobert", *given])
    with pytest.raises(SystemExit) as stopped:
        main()
    printed = capsys.readouterr().err.split("kaleidobert: ")[-1]  # before it, the bar of loading weights
    assert stopped.value.code == 2 and printed.count("\n") == 1 and message in printed
