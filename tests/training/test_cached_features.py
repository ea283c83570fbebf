"""Features of a frozen backbone, loaded instead of computed."""

import json
import shutil

import pytest
import torch
from transformers import AutoBackbone
from typer.testing import CliRunner

from kaleidobert.cli.main import app
from kaleidobert.errors import InputError
from kaleidobert.levels import PUBLISHED
from kaleidobert.model import KaleidoBertConfig, KaleidoBertForPreTraining
from kaleidobert.model.distributed import BatchShard
from kaleidobert.model.encoder import KaleidoBertModel
from kaleidobert.model.initial import load_image
from kaleidobert.model.pretext_objectives import corrupt_levels
from kaleidobert.training.cached_features import STATE_FILE, build_features, compute_features, open_features
from kaleidobert.training.pretrain import pretrain
from kaleidobert.training.pretraining_collator import PreTrainingCollator

pytestmark = pytest.mark.usefixtures("shared_cache")

FROZEN = ("training.freeze_backbone=true", "model.patch_features=crops", "training.augmentation=0")


@pytest.fixture(scope="module")
def backbone(tiny_config, tmp_path_factory):
    """An initial backbone, ``one``, with ``other`` beside it."""
    folder = tmp_path_factory.mktemp("backbones")
    for seed, name in enumerate(("one", "other")):
        torch.manual_seed(seed)
        AutoBackbone.from_config(tiny_config().backbone_config).save_pretrained(folder / name)
    return folder / "one"


@pytest.fixture(scope="module")
def frozen(settings, backbone):
    return lambda *overrides: settings(*FROZEN, f"initial.image={backbone}", *overrides)


@pytest.fixture(scope="module")
def features(shapes, prepared, frozen, tmp_path_factory):
    folder = tmp_path_factory.mktemp("features")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KALEIDOBERT_CACHE", str(prepared))
        assert build_features(shapes, folder, frozen()) == {"train": 72, "validation": 36}
    return folder


def test_a_run_is_the_same_with_features_and_with_pixels(shapes, frozen, features, history, tmp_path):
    """Up to rounding to half precision."""
    settings = frozen("training.learning_rate=1e-4")
    pretrain(shapes, tmp_path / "pixels", settings)
    pretrain(shapes, tmp_path / "features", settings, features=features)
    rows, expected = history(tmp_path / "features"), history(tmp_path / "pixels")
    for row, other in zip(rows, expected, strict=True):
        ours, theirs = ({name: row[name] for name in row if "accuracy" not in name} for row in (row, other))
        assert ours == pytest.approx(theirs, rel=1e-3, abs=1e-3)


def test_the_backbone_is_not_run(catalogue, tokenizer, features, frozen, backbone, monkeypatch):
    config = KaleidoBertConfig(**frozen().model)
    config.encoder_config.vocab_size = len(tokenizer)
    model = KaleidoBertForPreTraining(config)
    model.kaleidobert.freeze_backbone()
    load_image(model.kaleidobert, str(backbone))
    cached = open_features(features, "train", catalogue, model.kaleidobert)
    plain, stored = (
        PreTrainingCollator(catalogue, tokenizer, PUBLISHED, 1, True, 8, strength=0, features=source)(range(16))
        for source in (None, cached)
    )
    assert set(plain) == set(stored) and stored["pixel_values"].shape == (16, 55 + 3 + 16, 16)
    for name in set(plain) - {"pixel_values"}:
        assert torch.equal(plain[name], stored[name]), name
    for process in range(2):
        split = BatchShard(process, 2)
        own = PreTrainingCollator(catalogue, tokenizer, PUBLISHED, 1, True, 8, strength=0, shard=split, features=cached)
        assert torch.equal(own(range(16))["pixel_values"], stored["pixel_values"][process::2])
    expected = model(**plain)
    monkeypatch.delattr(type(model.kaleidobert.patch_encoder), "forward")
    found = model(**stored)
    for name, loss in expected.losses.items():
        torch.testing.assert_close(found.losses[name], loss, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("label", [0, 1, 3])
def test_cached_versions_are_what_the_backbone_computes(backbone, tiny_config, make_batch, label):
    """Also where levels share a task, and stand in another order than the tasks."""
    levels = [{"grid": 3, "task": "grey", "masked": 2}, {"grid": 2}, {"grid": 2, "task": "rotation"}]
    levels += [{"grid": 1, "task": "rotation"}, {"grid": 2, "task": "jigsaw"}, {"grid": 2, "task": "grey", "masked": 1}]
    config = tiny_config(levels=levels, patch_features="crops")
    model = KaleidoBertModel(config).eval()
    load_image(model, str(backbone))
    batch, table = make_batch(config), config.level_table
    pixels, masked = batch["pixel_values"], batch["masked_patches"]
    labels = torch.full_like(batch["level_labels"], label)
    cached = compute_features(model, pixels)
    assert cached.shape == (4, 26 + 3 * (4 + 1) + 9 + 4, 16)
    features = model.patch_features(cached)
    torch.testing.assert_close(features, model.patch_features(pixels))
    found = corrupt_levels(model.patch_encoder, table, cached, features, labels, masked)
    expected = corrupt_levels(model.patch_encoder, table, pixels, features, labels, masked)
    torch.testing.assert_close(found, expected)
    assert not torch.equal(found, features)


def test_an_interrupted_build_continues(shapes, frozen, features, tmp_path):
    """After its last complete chunk; an incomplete one is written again."""
    folder = tmp_path / "features"
    folder.mkdir()
    state = json.loads((features / STATE_FILE).read_text())
    state["splits"] = {"train": state["splits"]["train"] | {"done": 16}}
    (folder / STATE_FILE).write_text(json.dumps(state))
    whole = (features / "train.f16").read_bytes()
    (folder / "train.f16").write_bytes(whole[: len(whole) // 72 * 16] + b"half a chunk")
    build_features(shapes, folder, frozen())
    for name in ("train.f16", "validation.f16", STATE_FILE):
        assert (folder / name).read_bytes() == (features / name).read_bytes()


def test_features_that_do_not_fit_are_refused(shapes, frozen, features, backbone, tmp_path):
    def refusal(*overrides, folder=features):
        with pytest.raises(InputError) as error:
            pretrain(shapes, tmp_path / "run", frozen(*overrides), features=folder)
        assert "\n" not in str(error.value) and not (tmp_path / "run").exists()
        return str(error.value)

    other = f"initial.image={backbone.with_name('other')}"
    assert "another backbone" in refusal(other)
    assert "another backbone" in refusal("model.crop_size=24")
    assert "of other photos" in refusal("model.keep_aspect=false")
    assert "training.augmentation=0" in refusal("training.augmentation=1")
    assert "training.freeze_backbone=true" in refusal("training.freeze_backbone=false")
    assert "objectives.corruption=levels" in refusal("objectives.corruption=photos")
    assert "no features there" in refusal(folder=tmp_path)
    with pytest.raises(InputError, match="another backbone"):
        build_features(shapes, features, frozen(other))
    state = json.loads((features / STATE_FILE).read_text())
    state["splits"]["train"]["done"] = 40
    (tmp_path / STATE_FILE).write_text(json.dumps(state))
    assert "40 of 72 train views are done" in refusal(folder=tmp_path)
    state["splits"] = {}
    (tmp_path / STATE_FILE).write_text(json.dumps(state))
    assert "0 of 72 train views are done" in refusal(folder=tmp_path)
    (tmp_path / STATE_FILE).write_text("{")
    assert "features.json is damaged" in refusal(folder=tmp_path)


def test_features_and_pretrain_commands(shapes, preset, backbone, tmp_path):
    sets = ("model.fusion_layer=1", *FROZEN, f"initial.image={backbone}", "training.epochs=1")
    shared = ["--preset", str(preset), *(part for each in sets for part in ("--set", each))]
    folder = str(tmp_path / "features")
    built = CliRunner().invoke(app, ["features", str(shapes), "--out", folder, *shared])
    assert built.exit_code == 0 and "features of 108 views" in built.output and "--features" in built.output
    out = tmp_path / "run"
    done = CliRunner().invoke(app, ["pretrain", str(shapes), "--out", str(out), "--features", folder, *shared])
    assert done.exit_code == 0 and (out / "model.safetensors").exists()


def test_damaged_weights_of_a_backbone_are_refused_in_one_line(tiny_config, backbone, tmp_path):
    damaged = shutil.copytree(backbone, tmp_path / "damaged")
    (damaged / "model.safetensors").write_text("garbage")
    with pytest.raises(InputError, match="weights cannot be loaded") as error:
        load_image(KaleidoBertModel(tiny_config(patch_features="crops")), str(damaged))
    assert "\n" not in str(error.value)
