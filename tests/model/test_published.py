"""Initial weights from text and image checkpoints in their published formats, at a small size."""

import json
import logging

import pytest
import torch
from torch.nn import functional as F
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForImageClassification,
    AutoModelForMaskedLM,
    BertForMaskedLM,
    BertForPreTraining,
    BertModel,
    ResNetForImageClassification,
    ResNetModel,
)

from kaleidobert.errors import InputError
from kaleidobert.model import KaleidoBertConfig, KaleidoBertForPreTraining, KaleidoBertModel
from kaleidobert.model.initial import image_sizes, load_image, load_text, text_checkpoint, with_sizes
from kaleidobert.model.tokenizer import load_tokenizer, trim_vocabulary


@pytest.fixture(scope="module")
def model(tiny_config):
    return KaleidoBertForPreTraining(tiny_config())


@pytest.mark.parametrize("model_class", [BertModel, BertForMaskedLM, BertForPreTraining])
def test_bert_weights_are_loaded(model, tiny_config, tmp_path, model_class):
    published = model_class(tiny_config().encoder_config)
    published.save_pretrained(tmp_path)
    load_text(model.kaleidobert, str(tmp_path))
    weights = getattr(published, "bert", published).state_dict()
    own = model.kaleidobert.bert.state_dict()
    assert set(own) == {name for name in weights if not name.startswith("pooler")}
    assert all(torch.equal(tensor, weights[name]) for name, tensor in own.items())
    assert model.lm_head.decoder.weight is model.kaleidobert.bert.embeddings.word_embeddings.weight


@pytest.mark.parametrize("model_class", [ResNetModel, ResNetForImageClassification])
def test_backbone_weights_and_statistics_are_loaded(model, tiny_config, tmp_path, model_class):
    published = model_class(tiny_config().backbone_config)
    with torch.no_grad():
        for buffer in published.buffers():
            buffer.copy_(buffer + 2)
    published.save_pretrained(tmp_path)
    load_image(model.kaleidobert, str(tmp_path))
    weights = getattr(published, "resnet", published).state_dict()
    own = model.kaleidobert.patch_encoder.backbone.state_dict()
    assert set(own) == set(weights)
    assert all(torch.equal(tensor, weights[name]) for name, tensor in own.items())


@pytest.mark.parametrize(
    "size, theirs", [("hidden_size", 48), ("num_hidden_layers", 2), ("vocab_size", 70), ("num_attention_heads", 4)]
)
def test_a_bert_of_another_size_is_refused(model, tiny_config, tmp_path, size, theirs):
    config = tiny_config().encoder_config
    own = getattr(config, size)
    setattr(config, size, theirs)
    BertModel(config).save_pretrained(tmp_path)
    with pytest.raises(InputError, match=f"its {size} is {theirs}, this model's is {own}") as error:
        load_text(model.kaleidobert, str(tmp_path))
    assert "\n" not in str(error.value) and str(tmp_path) in str(error.value)


@pytest.mark.parametrize("size, theirs", [("hidden_sizes", [8, 24]), ("depths", [1, 2])])
def test_a_backbone_of_another_size_is_refused(model, tiny_config, tmp_path, size, theirs):
    config = tiny_config().backbone_config
    own = getattr(config, size)
    setattr(config, size, theirs)
    ResNetModel(config).save_pretrained(tmp_path)
    with pytest.raises(InputError) as error:
        load_image(model.kaleidobert, str(tmp_path))
    assert f"its {size} is {theirs}, this model's is {own}" in str(error.value)


def test_checkpoints_of_another_model_type_or_missing(model, tiny_config, tmp_path):
    ResNetModel(tiny_config().backbone_config).save_pretrained(tmp_path / "resnet")
    with pytest.raises(InputError, match="its model_type is resnet, not one of bert, roberta"):
        load_text(model.kaleidobert, str(tmp_path / "resnet"))
    with pytest.raises(InputError, match="nowhere: no checkpoint there") as error:
        load_image(model.kaleidobert, str(tmp_path / "nowhere"))
    assert "\n" not in str(error.value)


TEXT = {"vocab_size": 60, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 64}
TEXT |= {"max_position_embeddings": 26, "pad_token_id": 1, "layer_norm_eps": 1e-5}


def text_model(folder, name="roberta", **sizes):
    """A model of random weights, and its checkpoint as it is published: with the head of masked language modelling."""
    torch.manual_seed(0)
    published = AutoModelForMaskedLM.from_config(AutoConfig.for_model(name, **{**TEXT, **sizes})).eval()
    with torch.no_grad():
        for parameter in published.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    published.save_pretrained(folder)
    return published.base_model


def started(tiny_settings, folder, **encoder):
    """The encoder of a model that starts from the text checkpoint in a folder."""
    settings = {**tiny_settings(), "encoder_config": encoder}
    model = KaleidoBertModel(KaleidoBertConfig(**with_sizes(settings, str(folder), None))).eval()
    load_text(model, str(folder))
    return model


@pytest.fixture
def texts():
    """Ids (2, 9) and their mask, the second padded with 1."""
    ids = torch.randint(5, 60, (2, 9), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    ids[1, 6:], mask[1, 6:] = 1, 0
    return ids, mask


@pytest.mark.parametrize("name", ["bert", "roberta", "xlm-roberta", "camembert"])
def test_states_are_those_of_the_text_checkpoint(tiny_settings, tmp_path, texts, name):
    """Positions are counted from 0, whatever the checkpoint counts from."""
    published = text_model(tmp_path, name)
    model = started(tiny_settings, tmp_path)
    assert model.bert.config.max_position_embeddings == (26 if name == "bert" else 24)
    ids, mask = texts
    found, expected = model.bert(*texts).last_hidden_state, published(ids, attention_mask=mask).last_hidden_state
    torch.testing.assert_close(found[mask.bool()], expected[mask.bool()])


def test_mpnet_loses_only_its_relative_positions_and_says_so(tiny_settings, tmp_path, texts, caplog):
    published = text_model(tmp_path, "mpnet")
    with caplog.at_level(logging.WARNING):
        model = started(tiny_settings, tmp_path)
    [said] = [each.getMessage() for each in caplog.records if "kaleidobert" in each.name]
    assert said == f"{tmp_path}: MPNet's relative position bias has no place in BERT's layers; left out"
    ids, mask = texts
    found = model.bert(*texts).last_hidden_state[mask.bool()]
    before = published(ids, attention_mask=mask).last_hidden_state[mask.bool()]
    assert not torch.allclose(found, before, atol=1e-3)
    torch.nn.init.zeros_(published.encoder.relative_attention_bias.weight)
    # MPNet adds no segment to a token
    torch.nn.init.zeros_(model.bert.embeddings.token_type_embeddings.weight)
    found = model.bert(*texts).last_hidden_state[mask.bool()]
    torch.testing.assert_close(found, published(ids, attention_mask=mask).last_hidden_state[mask.bool()])


def test_a_model_may_have_fewer_layers_and_positions(tiny_settings, tmp_path, texts):
    published = text_model(tmp_path)
    model = started(tiny_settings, tmp_path, num_hidden_layers=2, max_position_embeddings=12)
    ids, mask = texts
    states = published(ids, attention_mask=mask, output_hidden_states=True).hidden_states
    torch.testing.assert_close(model.bert(*texts).last_hidden_state[mask.bool()], states[2][mask.bool()])
    assert len(model.bert.embeddings.position_embeddings.weight) == 12
    with pytest.raises(InputError, match="its num_hidden_layers is 3, this model's is 4"):
        started(tiny_settings, tmp_path, num_hidden_layers=4)


def test_rows_of_a_trimmed_vocabulary(tiny_settings):
    """Texts have the same states as with the whole vocabulary."""
    texts = ["Puma Men Navy Blue T-shirt", "kurtis & chudidars"]
    whole = load_tokenizer(text_checkpoint("minilm-l6"), 24)
    trimmed, kept = trim_vocabulary(whole, texts, 2500)
    settings = {**tiny_settings(), "encoder_config": {"num_hidden_layers": 1, "max_position_embeddings": 24}}
    config = KaleidoBertConfig(**with_sizes(settings, "minilm-l6", None))
    config.encoder_config.vocab_size = len(trimmed)
    model = KaleidoBertModel(config).eval()
    load_text(model, "minilm-l6", kept)
    published = AutoModel.from_pretrained(text_checkpoint("minilm-l6")).eval()
    found, expected = (
        each(texts, padding=True, return_tensors="pt", return_token_type_ids=False) for each in (trimmed, whole)
    )
    assert not torch.equal(found["input_ids"], expected["input_ids"])
    states = published(**expected, output_hidden_states=True).hidden_states[1]
    chosen = expected["attention_mask"].bool()
    torch.testing.assert_close(model.bert(**found).last_hidden_state[chosen], states[chosen], rtol=1e-4, atol=1e-5)


IMAGES = {
    "resnet": {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"},
    "convnext": {"num_stages": 2, "hidden_sizes": [8, 16], "depths": [1, 1], "drop_path_rate": 0.1},
    "dinov2": {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "patch_size": 8, "image_size": 64},
    "swin": {"embed_dim": 8, "depths": [1, 1], "num_heads": [1, 2], "window_size": 4, "image_size": 64},
}


def image_model(folder, name, **prepared):
    """A model of random weights and its checkpoint, with a classifier, and how its photos are prepared."""
    torch.manual_seed(0)
    config = AutoConfig.for_model(name, **IMAGES[name], num_labels=3)
    published = AutoModelForImageClassification.from_config(config).eval()
    published.save_pretrained(folder)
    if prepared:
        (folder / "preprocessor_config.json").write_text(json.dumps(prepared))
    return published.base_model


def expected_map(published, pixels):
    """A published model's last feature map (B, C, h, w)."""
    states = published(pixels).last_hidden_state
    name = published.config.model_type
    if name == "convnext":  # the library's backbone normalises each map
        return F.layer_norm(states.movedim(1, -1), states.shape[1:2], eps=1e-6).movedim(-1, 1)
    if states.ndim == 4:
        return states
    side = int(states.shape[1] ** 0.5)
    return states[:, -side * side :].transpose(1, 2).unflatten(2, (side, side))  # without [CLS]


@pytest.mark.parametrize("name", IMAGES)
def test_feature_maps_are_those_of_the_image_checkpoint(tmp_path, name):
    """Also at another size than the checkpoint's."""
    published = image_model(tmp_path, name, image_mean=[0.1, 0.2, 0.3], image_std=[0.5, 0.6, 0.7])
    config = KaleidoBertConfig(**with_sizes({"image_size": 80}, None, str(tmp_path)))
    assert (config.image_mean, config.image_std) == ([0.1, 0.2, 0.3], [0.5, 0.6, 0.7])
    model = KaleidoBertModel(config).eval()
    load_image(model, str(tmp_path))
    pixels = torch.rand(2, 3, 80, 80, generator=torch.Generator().manual_seed(1))
    mean, std = (torch.tensor(each).view(1, 3, 1, 1) for each in (config.image_mean, config.image_std))
    with torch.no_grad():
        [found] = model.patch_encoder._feature_maps(pixels)
        torch.testing.assert_close(found, expected_map(published, (pixels - mean) / std), rtol=1e-4, atol=1e-5)
        assert model.patch_features(pixels).shape == (2, 55, 16)


TOWER = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
TOWER |= {"patch_size": 8, "image_size": 64}
CLIP_TEXT = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}


@pytest.mark.parametrize("name", ["clip", "siglip"])
@pytest.mark.parametrize("whole", [True, False], ids=["pair", "tower"])
def test_the_patch_grid_of_a_vision_tower(tmp_path, name, whole):
    """Of a CLIP or SigLIP, or of its tower alone; also at another size, and saved."""
    torch.manual_seed(0)
    pair = AutoModel.from_config(AutoConfig.for_model(name, vision_config=dict(TOWER), text_config=dict(CLIP_TEXT)))
    with torch.no_grad():
        for parameter in pair.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    pair.eval().save_pretrained(tmp_path)
    if not whole:
        kind = type(AutoModel.from_config(pair.config.vision_config))
        kind.from_pretrained(tmp_path).save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text('{"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}')
    model = KaleidoBertModel(KaleidoBertConfig(**with_sizes({"image_size": 80}, None, str(tmp_path)))).eval()
    load_image(model, str(tmp_path))
    pixels = torch.rand(2, 3, 80, 80, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        states = pair.vision_model((pixels - 0.5) / 0.5, interpolate_pos_encoding=True).last_hidden_state
        if name == "clip":
            states = pair.vision_model.post_layernorm(states[:, 1:])
        expected = states.transpose(1, 2).unflatten(2, (10, 10))
        [found] = model.patch_encoder._feature_maps(pixels)
    torch.testing.assert_close(found, expected)
    model.save_pretrained(tmp_path / "run")
    again = KaleidoBertModel.from_pretrained(tmp_path / "run").eval()
    with torch.no_grad():
        torch.testing.assert_close(again.patch_features(pixels), model.patch_features(pixels))
        again.set_attn_implementation("eager")
        torch.testing.assert_close(again.patch_features(pixels), model.patch_features(pixels), rtol=1e-4, atol=1e-5)
    assert again.patch_encoder.backbone.tower.config._attn_implementation == "eager"
    again.freeze(stages=1)
    frozen = {key for key, value in again.patch_encoder.backbone.named_parameters() if not value.requires_grad}
    assert any(".0." in key for key in frozen) and not any(".1." in key for key in frozen)


@pytest.mark.parametrize("prepared, mean", [({}, 0.485), ({"do_normalize": False}, 0.0), ({"size": 224}, 0.485)])
def test_pixels_are_normalised_as_imagenet_s_unless_the_checkpoint_says_otherwise(tmp_path, prepared, mean):
    image_model(tmp_path, "resnet", **prepared)
    assert KaleidoBertConfig(**with_sizes({}, None, str(tmp_path))).image_mean[0] == mean


def test_settings_of_a_backbone_that_are_not_of_its_architecture_remain_the_run_s(tmp_path):
    image_model(tmp_path, "convnext", image_mean=[0.1] * 3, image_std=[0.5] * 3)
    chosen = {"backbone_config": {"out_features": ["stage1", "stage2"], "drop_path_rate": 0.0}, "image_std": [0.9] * 3}
    config = KaleidoBertConfig(**with_sizes(chosen, None, str(tmp_path)))
    assert config.backbone_config.out_features == ["stage1", "stage2"] and config.backbone_config.drop_path_rate == 0
    assert config.image_mean == [0.1] * 3 and config.image_std == [0.9] * 3
    model = KaleidoBertModel(config)
    load_image(model, str(tmp_path))
    assert model.patch_encoder.feature_size == 24
    # settings of a run name their sizes, so that they need the checkpoint no more
    assert with_sizes(config.to_dict(), None, "nowhere") == config.to_dict()


def test_photos_that_patches_do_not_cover_are_refused(tmp_path):
    image_model(tmp_path, "dinov2")
    with pytest.raises(InputError, match="image_size is 60; use a multiple of the backbone's patch_size, 8"):
        KaleidoBertConfig(**with_sizes({"image_size": 60}, None, str(tmp_path)))


def test_packaged_weights_have_one_use(model):
    with pytest.raises(InputError, match="minilm-l6 has no image backbone; use it for initial.text"):
        image_sizes("minilm-l6")
    with pytest.raises(InputError, match="no checkpoint there") as error:
        load_text(model.kaleidobert, "efficientnet-lite0")
    assert "\n" not in str(error.value)
