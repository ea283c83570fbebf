"""Runs and stores made before format 2 are refused with the command to convert them, and rank once they are.

What the earlier version made lies in tests/data; README.md there says how.
"""

import io
import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModel
from typer.testing import CliRunner

from kaleidobert.cli.main import app
from kaleidobert.errors import InputError
from kaleidobert.evaluation.retrieval import evaluate_retrieval
from kaleidobert.model import KaleidoBertForClassification, KaleidoBertForRetrieval, KaleidoBertProcessor
from kaleidobert.model.loading import load_model
from kaleidobert.scoring.joint_scores import JointScorer
from kaleidobert.scoring.ranking import RankingWeights
from kaleidobert.scoring.scorer import KaleidoBertScorer
from kaleidobert.training.finetune import finetune, finetune_settings
from kaleidobert.training.migration import migrate_run
from kaleidobert.training.settings import RUN_SETTINGS, load_settings

pytestmark = pytest.mark.usefixtures("shared_cache")
DATA = Path(__file__).parents[1] / "data"
OLD_RUN, OLD_CLASSIFIER, OLD_STORE = DATA / "run_format_1", DATA / "category_format_1", DATA / "store_format_3"


def run_verb(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def refusal(*arguments):
    error = run_verb(*arguments).exception
    assert isinstance(error, InputError), error
    assert "\n" not in str(error)
    return str(error)


@pytest.fixture(scope="session")
def migrated(tmp_path_factory):
    """The old run in the present format, converted by the verb and not fitted."""
    out = tmp_path_factory.mktemp("migrated") / "run"
    result = run_verb("migrate", OLD_RUN, "--out", out)
    assert result.exit_code == 0 and f"kaleidobert fit-ranker DATA --model {out}" in result.output
    return out


@pytest.fixture(scope="session")
def fitted(migrated, shapes, prepared, tmp_path_factory):
    """The same, fitted by the verb."""
    run = shutil.copytree(migrated, tmp_path_factory.mktemp("fitted") / "run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KALEIDOBERT_CACHE", str(prepared))
        result = run_verb("fit-ranker", shapes, "--model", run)
    assert result.exit_code == 0, result.output
    return run


@pytest.fixture(scope="session")
def recorded():
    """What the earlier version computed."""
    return json.loads((DATA / "format_1.json").read_text())


@pytest.fixture(scope="session")
def inputs(migrated, recorded, drawn_products):
    """Of the recorded photos and texts."""
    rows = [drawn_products(20, 3)[place] for place in (0, 13)]
    assert [row["title"] for row in rows] == recorded["texts"]
    photos = [Image.open(io.BytesIO(row["images"][0])) for row in rows]
    batch = KaleidoBertProcessor.from_pretrained(migrated)(images=photos, text=recorded["texts"])
    assert batch["input_ids"].tolist() == recorded["input_ids"]
    return {name: batch[name] for name in ("pixel_values", "input_ids", "attention_mask")}


@pytest.fixture
def six_products(drawn_products, tmp_path):
    """What the old store holds."""
    pq.write_table(pa.Table.from_pylist(drawn_products(6, 3)), tmp_path / "six.parquet")
    return tmp_path / "six.parquet"


@pytest.mark.parametrize(
    "arguments",
    [
        ["evaluate", "retrieval", "DATA", "--model", OLD_RUN],
        ["evaluate", "category", "DATA", "--model", OLD_CLASSIFIER],
        ["evaluate", "captioning", "DATA", "--model", OLD_RUN],
        ["finetune", "retrieval", "DATA", "--model", OLD_RUN, "--out", "OUT"],
        ["finetune", "category", "DATA", "--model", OLD_RUN, "--out", "OUT"],
        ["finetune", "captioning", "DATA", "--model", OLD_RUN, "--out", "OUT"],
        ["fit-ranker", "DATA", "--model", OLD_RUN],
        ["index", "DATA", "--model", OLD_RUN, "--store", "OUT"],
        ["search", "red bag", "--store", "STORE", "--model", OLD_RUN],
        ["serve", "--store", "STORE", "--model", OLD_RUN, "--port", "0"],
        ["describe", "PHOTO", "--model", OLD_CLASSIFIER],
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_every_verb_refuses_an_old_run_and_names_the_command(arguments, shapes, shop, tmp_path):
    Image.new("RGB", (48, 56), "white").save(tmp_path / "photo.png")
    places = {"DATA": shapes, "OUT": tmp_path / "out", "PHOTO": tmp_path / "photo.png", "STORE": shop.uri}
    old = OLD_CLASSIFIER if OLD_CLASSIFIER in arguments else OLD_RUN
    message = refusal(*(places.get(each, each) for each in arguments))
    assert f"{old} was made by an earlier version of kaleidobert" in message
    assert f"kaleidobert migrate {old} --out NEW" in message
    assert not (tmp_path / "out").exists()


def test_pretraining_does_not_start_from_an_old_run_or_its_settings(shapes, preset, tmp_path):
    arguments = ["pretrain", shapes, "--out", tmp_path / "out", "--preset"]
    sets = ["--set", f"initial.run={OLD_RUN}"]
    assert f"kaleidobert migrate {OLD_RUN} --out NEW" in refusal(*arguments, preset, *sets)
    assert "model.corruption: no such setting; use objectives.corruption" in refusal(*arguments, OLD_RUN / RUN_SETTINGS)
    assert not (tmp_path / "out").exists()


def test_a_migrated_run_computes_what_the_earlier_version_did(migrated, inputs, recorded):
    model = load_model(migrated, KaleidoBertForRetrieval)
    pixels, texts = inputs["pixel_values"].to(model.device), (inputs["input_ids"], inputs["attention_mask"])
    texts = tuple(each.to(model.device) for each in texts)
    joint = JointScorer(model, RankingWeights())
    with torch.inference_mode():
        image, text = model.get_image_features(pixels), model.get_text_features(*texts)
        cache = model.kaleidobert.encode_prefix(image.patch_states)
        found = {
            "image_embeds": image.image_embeds,
            "text_embeds": text.text_embeds,
            "itm_logits": joint.model.itm_logits(*texts, image.patch_states),
            "caption_log_likelihood": joint.caption_log_likelihood(*texts, cache)[:, 0],
            "text_log_prior": joint.text_log_prior(*texts)[:, 0],
        }
    for name, values in found.items():
        expected = torch.tensor(recorded[name])
        assert torch.allclose(values.cpu(), expected, rtol=1e-5, atol=1e-5), name
        assert not torch.allclose(expected[0], expected[1], atol=1e-4), name  # another product, other values


def test_a_migrated_classifier_computes_what_the_earlier_version_did(inputs, recorded, tmp_path):
    assert not migrate_run(OLD_CLASSIFIER, tmp_path / "new")  # it has nothing to rank
    model = load_model(tmp_path / "new", KaleidoBertForClassification)
    assert model.class_names == ["bag", "shirt"]
    with torch.inference_mode():
        logits = model(**{name: each.to(model.device) for name, each in inputs.items()}).logits
    assert torch.allclose(logits.cpu(), torch.tensor(recorded["category_logits"]), atol=1e-5)


def test_every_setting_has_its_new_place_and_no_weight_is_lost(migrated):
    old, new = yaml.safe_load((OLD_RUN / RUN_SETTINGS).read_text()), load_settings(str(migrated / RUN_SETTINGS))
    assert new.objectives.weights == old["model"].pop("loss_weights") == {"LM": 0.5}
    for name in ("corruption", "kl_temperature", "hard_negatives_from"):
        assert getattr(new.objectives, name) == old["model"].pop(name) != getattr(type(new.objectives)(), name)
    assert new.training.freeze_backbone == old["model"].pop("freeze_backbone") is True
    assert new.model == old["model"]
    assert {name: getattr(new.training, name) for name in old["training"]} == old["training"]
    before, after = (load_file(run / "model.safetensors") for run in (OLD_RUN, migrated))
    assert len(after) == sum(not name.startswith(("memory.", "looks.")) for name in before)
    assert {name.split(".")[0] for name in after} >= {"itm_head", "lm_head", "pretext_heads", "kaleidobert"}
    assert json.loads((migrated / "config.json").read_text())["format"] == 2


def test_a_migrated_run_ranks_once_it_is_fitted(migrated, fitted, shapes, recorded, drawn_products):
    with pytest.raises(InputError, match="no ranking.json: fit it with kaleidobert fit-ranker"):
        KaleidoBertScorer.from_pretrained(migrated)
    assert (fitted / "model.safetensors").read_bytes() == (migrated / "model.safetensors").read_bytes()
    photos = [Image.open(io.BytesIO(drawn_products(20, 3)[place]["images"][0])) for place in (0, 13)]
    ranked = KaleidoBertScorer.from_pretrained(fitted).rank(recorded["texts"][0], photos)
    assert {each["index"] for each in ranked} == {0, 1} and ranked[0]["score"] > ranked[1]["score"]
    figures = evaluate_retrieval(shapes, shutil.copytree(fitted, fitted.parent / "copy"), queries=10)
    assert figures["combined"]["SumR"] > 0 and figures["combined_memory"]["SumR"] > 0


def test_a_migrated_run_can_be_fine_tuned(migrated, shapes, tmp_path):
    settings = finetune_settings("retrieval", migrated, ["training.epochs=0.25", "training.freeze_backbone=true"])
    assert settings.objectives.weights == {"LM": 0.5}
    finetune("retrieval", shapes, migrated, tmp_path / "tuned", settings)
    before, after = (load_file(run / "model.safetensors") for run in (migrated, tmp_path / "tuned"))
    frozen = [name for name in after if "backbone" in name]
    assert frozen and all(torch.equal(after[name], before[name]) for name in frozen)
    assert not torch.equal(after["itm_head.score.weight"], before["itm_head.score.weight"])


def test_the_old_run_stays_as_it_is(tmp_path):
    copy = shutil.copytree(OLD_RUN, tmp_path / "old")
    before = {path.name: path.read_bytes() for path in copy.iterdir()}
    migrate_run(copy, tmp_path / "new")
    assert {path.name: path.read_bytes() for path in copy.iterdir()} == before


def test_what_cannot_be_migrated(migrated, tmp_path):
    assert "no finished run there" in refusal("migrate", tmp_path, "--out", tmp_path / "out")
    (tmp_path / "there").mkdir()
    assert "exists already; give a new folder" in refusal("migrate", OLD_RUN, "--out", tmp_path / "there")
    assert "has format 2 already; use it as it is" in refusal("migrate", migrated, "--out", tmp_path / "out")
    broken = shutil.copytree(OLD_RUN, tmp_path / "broken")
    (broken / "preprocessor_config.json").unlink()
    assert "preprocessor_config.json" in refusal("migrate", broken, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_old_store_is_refused_with_the_command_that_indexes_it_anew(fitted, six_products, tmp_path):
    store = shutil.copytree(OLD_STORE, tmp_path / "store")
    for arguments in (["search", "red bag"], ["serve", "--port", 0], ["index", six_products]):
        message = refusal(*arguments, "--store", store, "--model", fitted)
        assert message.startswith(f"{store} has store format 3"), message
        assert f"--store {store} --new-version`" in message
    result = run_verb("index", six_products, "--store", store, "--model", fitted, "--new-version")
    assert result.exit_code == 0, result.output
    found = run_verb("search", "red square shirt", "--store", store)
    assert found.exit_code == 0 and found.output.count("red") >= 4


@pytest.mark.parametrize("load", [AutoConfig, AutoModel, KaleidoBertForRetrieval])
def test_the_library_refuses_an_old_run_too(load):
    with pytest.raises(InputError, match="kaleidobert migrate"):
        load.from_pretrained(OLD_RUN)


@pytest.mark.parametrize(
    ("name", "text"), [("config.json", "[]"), ("preprocessor_config.json", "{"), ("model.safetensors", "garbage")]
)
def test_a_damaged_run_is_not_converted(tmp_path, name, text):
    run = shutil.copytree(OLD_RUN, tmp_path / "run")
    (run / name).write_text(text)
    assert str(run) in refusal("migrate", run, "--out", tmp_path / "new")
    assert not (tmp_path / "new").exists()
