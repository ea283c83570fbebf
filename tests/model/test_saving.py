import json
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModel, AutoModelForPreTraining, AutoProcessor

from kaleidobert.errors import InputError
from kaleidobert.model import (
    KaleidoBertConfig,
    KaleidoBertForPreTraining,
    KaleidoBertForRetrieval,
    KaleidoBertImageProcessor,
    KaleidoBertModel,
    KaleidoBertProcessor,
)
from kaleidobert.model.configuration import FORMAT
from kaleidobert.model.loading import load_config, load_model, load_processor
from kaleidobert.model.objectives import Objectives
from kaleidobert.model.tokenizer import train_tokenizer


@pytest.fixture(params=[0, 1], ids=["fusion0", "fusion1"])
def trained(request, tiny_config, make_batch):
    """A pre-training model whose every weight and statistic is off its first value."""
    torch.manual_seed(0)
    model = KaleidoBertForPreTraining(tiny_config(fusion_layer=request.param, image_mean=[0.2, 0.3, 0.4]))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        model(**make_batch(model.config))  # moves the batch statistics
        model.match_accuracy.fill_(0.66)
    return model.eval()


@pytest.fixture
def saved(trained, tmp_path):
    trained.save_pretrained(tmp_path / "run")
    return tmp_path / "run"


def scores(model, batch) -> torch.Tensor:
    """(B, B) scaled cosines and ITM logits of every text, a row, with every photo."""
    image = model.get_image_features(batch["pixel_values"])
    text = model.get_text_features(batch["input_ids"], batch["attention_mask"])
    rows, columns = torch.cartesian_prod(torch.arange(4), torch.arange(4)).T
    joint = model.itm_logits(batch["input_ids"][rows], batch["attention_mask"][rows], image.patch_states[columns])
    return model.scale() * text.text_embeds @ image.image_embeds.T + joint.view(4, 4)


@pytest.mark.parametrize("kind", [KaleidoBertForPreTraining, KaleidoBertForRetrieval])
def test_save_and_load_rank_identically(trained, saved, make_batch, kind):
    assert (saved / "model.safetensors").exists()
    batch = make_batch(trained.config)
    loaded = kind.from_pretrained(saved)
    assert torch.equal(scores(loaded, batch), scores(trained, batch))
    assert scores(trained, batch).std() > 0.1


def test_save_and_load_keep_every_loss(trained, saved, make_batch):
    batch = make_batch(trained.config)
    loaded = KaleidoBertForPreTraining.from_pretrained(saved)
    before, after = trained(**batch).losses, loaded(**batch).losses
    assert {name: part.item() for name, part in after.items()} == {name: part.item() for name, part in before.items()}
    assert loaded.match_accuracy == trained.match_accuracy


def test_retrieval_loads_a_pre_training_run_without_gaps(saved):
    loaded: Any = KaleidoBertForRetrieval.from_pretrained(saved, output_loading_info=True)
    report = loaded[1]
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    assert not report["mismatched_keys"]


def test_pre_training_starts_from_a_retrieval_run(saved, tmp_path, make_batch):
    """Heads that the run lacks begin anew; nothing is left as uninitialised memory."""
    KaleidoBertForRetrieval.from_pretrained(saved).save_pretrained(tmp_path / "tuned")
    loaded: Any = KaleidoBertForPreTraining.from_pretrained(tmp_path / "tuned", output_loading_info=True)
    model, report = loaded
    own = ("lm_head.", "pretext_heads.", "match_accuracy", "negatives")
    assert report["missing_keys"] and all(key.startswith(own) for key in report["missing_keys"])
    assert model.match_accuracy == 0.5 and model.negatives == 0
    assert all(0 < model.pretext_heads[str(level)].out.weight.std() < 0.1 for level in range(5))
    assert torch.isfinite(model(**make_batch(model.config)).loss)


def test_a_bare_encoder_gives_its_scale_a_value(trained, tmp_path):
    trained.kaleidobert.save_pretrained(tmp_path)
    loaded = KaleidoBertForRetrieval.from_pretrained(tmp_path)
    assert loaded.scale().item() == pytest.approx(1 / 0.07)
    assert torch.equal(loaded.kaleidobert.patch_embeddings.locations, trained.kaleidobert.patch_embeddings.locations)


def test_the_decoder_stays_tied(trained, saved):
    for model in (trained, KaleidoBertForPreTraining.from_pretrained(saved)):
        words = model.kaleidobert.bert.embeddings.word_embeddings.weight
        assert model.lm_head.decoder.weight is words
        assert sum(parameter is words for parameter in model.parameters()) == 1


def test_auto_classes_load_a_run(trained, saved):
    tokenizer = train_tokenizer(["red circle shirt", "blue circle bag"] * 3, vocabulary=60, max_length=16)
    KaleidoBertProcessor(KaleidoBertImageProcessor(40, "none", False), tokenizer).save_pretrained(saved)
    config = AutoConfig.from_pretrained(saved)
    assert isinstance(config, KaleidoBertConfig) and config.image_mean == [0.2, 0.3, 0.4]
    assert isinstance(AutoModelForPreTraining.from_pretrained(saved), KaleidoBertForPreTraining)
    encoder = AutoModel.from_pretrained(saved)
    assert isinstance(encoder, KaleidoBertModel)
    for name, weight in trained.kaleidobert.state_dict().items():
        assert torch.equal(encoder.state_dict()[name], weight), name
    processor = AutoProcessor.from_pretrained(saved)
    assert isinstance(processor, KaleidoBertProcessor)
    kept = processor.image_processor
    assert (kept.image_size, kept.saliency, kept.keep_aspect) == (40, "none", False)
    assert processor.tokenizer("red bag")["input_ids"] == tokenizer("red bag")["input_ids"]


def test_a_configuration_survives_saving(tiny_config, tmp_path):
    levels = [{"grid": 1, "task": None}, {"grid": 6, "task": "grey", "masked": 4}]
    given = {"levels": levels, "fusion_layer": 2, "mirror": True, "keep_aspect": False}
    config = tiny_config(**given, joint_initializer_range=0.05, task="category", inputs="image")
    config.save_pretrained(tmp_path)
    loaded = KaleidoBertConfig.from_pretrained(tmp_path)
    for name, value in vars(config).items():
        if not name.startswith("_") and name not in ("encoder_config", "backbone_config", "transformers_version"):
            assert getattr(loaded, name) == value, name
    assert loaded.encoder_config.hidden_size == 32
    assert loaded.backbone_config.hidden_sizes == [8, 16]
    assert loaded.backbone_config.out_features == ["stage2"]


def test_objectives_are_no_part_of_a_saved_model(trained, saved):
    kept = json.loads((saved / "config.json").read_text())
    assert kept["format"] == FORMAT and not {"loss_weights", "corruption", "joint_weight", "calibration"} & set(kept)
    loaded = KaleidoBertForPreTraining.from_pretrained(saved, objectives=Objectives({"ITM": 0.5}, "photos"))
    assert loaded.objectives.weight("ITM") == 0.5 and trained.objectives.weight("ITM") == 1.0


@pytest.mark.parametrize("text", ["[]", '{"format": "x"}', "{", '{"format": 2, "levels": 3}'])
def test_a_damaged_configuration_is_refused_in_one_line(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(InputError, match=str(tmp_path)) as error:
        load_config(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["[]", "garbage", "{}"])
@pytest.mark.parametrize("name", ["processor_config.json", "tokenizer.json"])
def test_a_damaged_processor_is_refused_in_one_line(tmp_path, name, text):
    tokenizer = train_tokenizer(["red circle shirt", "blue circle bag"] * 3, vocabulary=60, max_length=16)
    KaleidoBertProcessor(KaleidoBertImageProcessor(40, "none"), tokenizer).save_pretrained(tmp_path)
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=r"processor in .* cannot be loaded \(.{20,}\): copy its files again") as error:
        load_processor(tmp_path)
    assert "\n" not in str(error.value)


def test_damaged_weights_are_refused_in_one_line(saved):
    (saved / "model.safetensors").write_bytes(b"garbage" * 9)
    with pytest.raises(InputError, match="cannot be loaded") as error:
        load_model(saved, KaleidoBertForPreTraining)
    assert "\n" not in str(error.value)


def test_a_run_of_another_format_is_refused_with_what_to_do(saved):
    kept = json.loads((saved / "config.json").read_text())
    for number, age in ((1, "an earlier"), (3, "a later")):
        (saved / "config.json").write_text(json.dumps(kept | {"format": number}))
        with pytest.raises(InputError, match=f"{age} version of kaleidobert: convert it with kaleidobert migrate"):
            load_model(saved, KaleidoBertForPreTraining)
