from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModel, AutoModelForPreTraining, AutoProcessor

from kaleidobert.model import (
    KaleidoBertConfig,
    KaleidoBertForPreTraining,
    KaleidoBertForRetrieval,
    KaleidoBertImageProcessor,
    KaleidoBertModel,
    KaleidoBertProcessor,
)
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
    """(B, B) combined scores of every text, a row, with every photo."""
    image = model.encode_image(batch["pixel_values"])
    text = model.encode_text(batch["input_ids"], batch["attention_mask"])
    rows, columns = torch.cartesian_prod(torch.arange(4), torch.arange(4)).T
    joint = model.joint_scores(batch["input_ids"][rows], batch["attention_mask"][rows], image.patches[columns])
    return model.combined_scores(text.vectors @ image.vectors.T, joint.view(4, 4))


@pytest.mark.parametrize("kind", [KaleidoBertForPreTraining, KaleidoBertForRetrieval])
def test_save_and_load_rank_identically(trained, saved, make_batch, kind):
    assert (saved / "model.safetensors").exists()
    batch = make_batch(trained.config)
    loaded = kind.from_pretrained(saved)
    assert torch.equal(scores(loaded, batch), scores(trained, batch))
    assert scores(trained, batch).std() > 0.1


def test_save_and_load_keep_every_loss_and_the_fingerprint(trained, saved, make_batch):
    batch = make_batch(trained.config)
    loaded = KaleidoBertForPreTraining.from_pretrained(saved)
    before, after = trained(**batch).parts, loaded(**batch).parts
    assert {name: part.item() for name, part in after.items()} == {name: part.item() for name, part in before.items()}
    assert loaded.fingerprint() == trained.fingerprint()
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
    own = ("masked_tokens.", "pretext.", "match_accuracy", "negatives")
    assert report["missing_keys"] and all(key.startswith(own) for key in report["missing_keys"])
    assert model.match_accuracy == 0.5 and model.negatives == 0
    assert all(0 < model.pretext[str(level)].out.weight.std() < 0.1 for level in range(5))
    assert torch.isfinite(model(**make_batch(model.config)).loss)


def test_a_bare_encoder_gives_its_scale_a_value(trained, tmp_path):
    trained.kaleidobert.save_pretrained(tmp_path)
    loaded = KaleidoBertForRetrieval.from_pretrained(tmp_path)
    assert loaded.scale().item() == pytest.approx(1 / 0.07)
    assert torch.equal(loaded.kaleidobert.patch_embeddings.locations, trained.kaleidobert.patch_embeddings.locations)


def test_the_decoder_stays_tied(trained, saved):
    for model in (trained, KaleidoBertForPreTraining.from_pretrained(saved)):
        words = model.kaleidobert.bert.embeddings.word_embeddings.weight
        assert model.masked_tokens.decoder.weight is words
        assert sum(parameter is words for parameter in model.parameters()) == 1


def test_the_fingerprint_changes_with_any_weight(trained):
    prints = {trained.fingerprint()}
    tensors = trained.state_dict()
    with torch.no_grad():
        for tensor in tensors.values():
            last = (-1,) * tensor.ndim
            tensor[last] = ~tensor[last] if tensor.dtype == torch.bool else tensor[last] + 1
            prints.add(trained.fingerprint())
    assert len(tensors) > 100 and len(prints) == len(tensors) + 1


@pytest.mark.parametrize(
    "setting", [{"saliency": "none"}, {"keep_aspect": False}, {"image_mean": [0.1, 0.1, 0.1]}, {"heads": 4}]
)
def test_the_fingerprint_changes_with_what_weights_compute(tiny_config, setting):
    config, other = tiny_config(), tiny_config(**{k: v for k, v in setting.items() if k != "heads"})
    other.encoder_config.num_attention_heads = setting.get("heads", 2)
    model, same, changed = (KaleidoBertModel(c) for c in (config, tiny_config(joint_weight=3.0), other))
    for copy in (same, changed):
        copy.load_state_dict(model.state_dict())
    assert same.fingerprint() == model.fingerprint() != changed.fingerprint()


def test_auto_classes_load_a_run(trained, saved):
    tokenizer = train_tokenizer(["red circle shirt", "blue circle bag"] * 3, vocabulary=60, max_length=16)
    KaleidoBertProcessor(KaleidoBertImageProcessor(40, "none", False), tokenizer).save_pretrained(saved)
    config = AutoConfig.from_pretrained(saved)
    assert isinstance(config, KaleidoBertConfig) and config.image_mean == [0.2, 0.3, 0.4]
    assert isinstance(AutoModelForPreTraining.from_pretrained(saved), KaleidoBertForPreTraining)
    encoder = AutoModel.from_pretrained(saved)
    assert isinstance(encoder, KaleidoBertModel)
    assert encoder.fingerprint() == trained.kaleidobert.fingerprint()
    processor = AutoProcessor.from_pretrained(saved)
    assert isinstance(processor, KaleidoBertProcessor)
    kept = processor.image_processor
    assert (kept.image_size, kept.saliency, kept.keep_aspect) == (40, "none", False)
    assert processor.tokenizer("red bag")["input_ids"] == tokenizer("red bag")["input_ids"]


def test_a_configuration_survives_saving(tiny_config, tmp_path):
    levels = [{"grid": 1, "task": None}, {"grid": 6, "task": "grey", "masked": 4}]
    given = {"levels": levels, "fusion_layer": 2, "loss_weights": {"AMLM": 0.5}, "joint_weight": 0.35}
    config = tiny_config(**given, kl_temperature=2.0, freeze_backbone=True, hard_negatives_from=0.9)
    config.save_pretrained(tmp_path)
    loaded = KaleidoBertConfig.from_pretrained(tmp_path)
    for name, value in vars(config).items():
        if not name.startswith("_") and name not in ("encoder_config", "backbone_config", "transformers_version"):
            assert getattr(loaded, name) == value, name
    assert loaded.encoder_config.hidden_size == 32
    assert loaded.backbone_config.hidden_sizes == [8, 16]
    assert loaded.backbone_config.out_features == ["stage2"]
