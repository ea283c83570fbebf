"""Features of a frozen backbone, read instead of computed."""

import json

import pytest
import torch
from transformers import AutoBackbone
from typer.testing import CliRunner

from kaleidobert.cli.main import app
from kaleidobert.errors import InputError
from kaleidobert.levels import PUBLISHED
from kaleidobert.model import KaleidoBertConfig, KaleidoBertForPreTraining
from kaleidobert.model.distributed import BatchShard
from kaleidobert.training.cached_features import STATE_FILE, build_features, open_features
from kaleidobert.training.collators import PreTrainingCollator
from kaleidobert.training.pretrain import pretrain

pytestmark = pytest.mark.usefixtures("shared_cache")

FROZEN = ("model.freeze_backbone=true", "model.patch_features=crops", "training.augmentation=0")


@pytest.fixture(scope="module")
def backbone(tiny_config, tmp_path_factory):
    """A backbone to start from, and another one."""
    folder = tmp_path_factory.mktemp("backbones")
    for seed, name in enumerate(("one", "other")):
        torch.manual_seed(seed)
        AutoBackbone.from_config(tiny_config().backbone_config).save_pretrained(folder / name)
    return folder / "one"


@pytest.fixture(scope="module")
def frozen(settings, backbone):
    return lambda *overrides: settings(*FROZEN, f"initial.backbone={backbone}", *overrides)


@pytest.fixture(scope="module")
def features(shapes, prepared, frozen, tmp_path_factory):
    folder = tmp_path_factory.mktemp("features")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KALEIDOBERT_CACHE", str(prepared))
        assert build_features(shapes, folder, frozen()) == {"train": 72, "validation": 36}
    return folder


def test_a_run_is_the_same_with_features_and_with_pixels(shapes, frozen, features, history, tmp_path):
    """But for the rounding to half precision."""
    settings = frozen("training.learning_rate=1e-4")
    pretrain(shapes, tmp_path / "pixels", settings)
    pretrain(shapes, tmp_path / "features", settings, features=features)
    rows, expected = history(tmp_path / "features"), history(tmp_path / "pixels")
    for row, other in zip(rows, expected, strict=True):
        ours, theirs = ({name: row[name] for name in row if "accuracy" not in name} for row in (row, other))
        assert ours == pytest.approx(theirs, rel=1e-3, abs=1e-3)


def test_no_pixel_goes_through_the_backbone(catalogue, tokenizer, features, frozen, backbone, monkeypatch):
    config = KaleidoBertConfig(**frozen().model)
    config.encoder_config.vocab_size = len(tokenizer)
    model = KaleidoBertForPreTraining(config)
    model.kaleidobert.load_backbone(str(backbone))
    tables = open_features(features, "train", catalogue, model.kaleidobert)
    plain, stored = (
        PreTrainingCollator(catalogue, tokenizer, PUBLISHED, 1, True, 8, strength=0, features=source)(range(16))
        for source in (None, tables)
    )
    assert set(plain) == set(stored) and stored["pixel_values"].shape == (16, 55 + 3 + 16, 16)
    for name in set(plain) - {"pixel_values"}:
        assert torch.equal(plain[name], stored[name]), name
    for process in range(2):
        split = BatchShard(process, 2)
        own = PreTrainingCollator(catalogue, tokenizer, PUBLISHED, 1, True, 8, strength=0, shard=split, features=tables)
        assert torch.equal(own(range(16))["pixel_values"], stored["pixel_values"][process::2])
    expected = model(**plain)
    monkeypatch.delattr(type(model.kaleidobert.patch_encoder), "forward")
    found = model(**stored)
    for name, loss in expected.parts.items():
        torch.testing.assert_close(found.parts[name], loss, rtol=2e-3, atol=2e-3)


def test_a_killed_build_goes_on(shapes, frozen, features, tmp_path):
    """From its last chunk that was whole; what it wrote beyond that is written again."""
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

    other = f"initial.backbone={backbone.with_name('other')}"
    assert "another backbone's" in refusal(other)
    assert "another backbone's" in refusal("model.crop_size=24")
    assert "of other photos" in refusal("model.keep_aspect=false")
    assert "training.augmentation=0" in refusal("training.augmentation=1")
    assert "model.freeze_backbone=true" in refusal("model.freeze_backbone=false")
    assert "model.corruption=levels" in refusal("model.corruption=photos")
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


def test_the_verbs(shapes, preset, backbone, tmp_path):
    sets = ("model.fusion_layer=1", *FROZEN, f"initial.backbone={backbone}", "training.epochs=1")
    shared = ["--preset", str(preset), *(part for each in sets for part in ("--set", each))]
    folder = str(tmp_path / "features")
    said = CliRunner().invoke(app, ["features", str(shapes), "--out", folder, *shared])
    assert said.exit_code == 0 and "features of 108 views" in said.output and "--features" in said.output
    out = tmp_path / "run"
    done = CliRunner().invoke(app, ["pretrain", str(shapes), "--out", str(out), "--features", folder, *shared])
    assert done.exit_code == 0 and (out / "model.safetensors").exists()
