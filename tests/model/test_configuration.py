import pytest
import torch

from kaleidobert.errors import InputError
from kaleidobert.model import KaleidoBertConfig, KaleidoBertForPreTraining
from kaleidobert.model.objectives import Objectives
from kaleidobert.training.settings import load_settings


def test_base_is_the_published_size():
    settings = load_settings("base")
    with torch.device("meta"):  # sizes without the memory
        model = KaleidoBertForPreTraining(KaleidoBertConfig(**settings.model), settings.objectives)
    encoder = model.config.encoder_config
    assert (encoder.num_hidden_layers, encoder.hidden_size, encoder.num_attention_heads) == (12, 768, 12)
    assert len(model.kaleidobert.bert.encoder.layer) == 12
    assert model.config.backbone_config.depths == [3, 4, 6, 3]
    assert model.kaleidobert.patch_encoder.feature_size == 2048
    backbone = sum(parameter.numel() for parameter in model.kaleidobert.patch_encoder.parameters())
    assert backbone == 23_508_032  # ResNet-50 without its classifier
    assert [(level.grid, level.task, level.masked) for level in model.config.level_table] == [
        (1, "rotation", 0),
        (2, "jigsaw", 0),
        (3, "camouflage", 1),
        (4, "grey", 2),
        (5, "blank", 3),
    ]
    assert model.config.patch_features == "crops" and model.config.fusion_layer == 0
    assert settings.training.freeze_backbone


def test_base_has_the_published_optimiser_and_plain_sum():
    settings = load_settings("base")
    training = settings.training
    assert (training.learning_rate, training.weight_decay, training.warmup_steps) == (2e-5, 1e-4, 5000)
    assert settings.objectives.weights == {"LM": 0}  # which is not the publication's
    assert training.joint_samples == training.batch_size and training.joint_from == 0


@pytest.mark.parametrize(
    "setting, message",
    [
        ({"patch_features": "both"}, "patch_features is 'both'; use 'crops' or 'pyramid'"),
        ({"fusion_layer": 3}, "fusion_layer is 3; use 0 to 2"),
        ({"fusion_layer": -1}, "fusion_layer is -1"),
        ({"levels": [{"grid": 1, "task": "colour"}]}, "level 1: no task 'colour'"),
        (
            {"levels": [{"grid": 3, "task": "camouflage"}]},
            "camouflage hides some .* is 0; set it to 1 to 8",
        ),
        ({"levels": [{"grid": 2, "task": "blank", "masked": 5}]}, "level 2: cannot mask 5 of 4 patches"),
        ({"levels": [{"size": 2}]}, "unknown settings; use grid, task and masked"),
        ({"image_size": "big"}, "image_size is 'big'"),
        ({"image_size": True}, "image_size is True"),
        ({"projection_size": 0}, "projection_size is 0"),
        ({"fusion_layer": 1.5}, "fusion_layer is 1.5"),
        ({"levels": []}, "levels is empty; give at least one level"),
        ({"levels": [{"grid": 0}]}, "grid is 0; use a whole number above 0"),
        ({"levels": [{"task": "rotation"}]}, "grid is None"),
        ({"levels": [{"grid": 2, "masked": -1}]}, "masked is -1; use a whole number of patches"),
        ({"levels": [{"grid": 2, "task": "grey", "masked": 0.5}]}, "masked is 0.5"),
        ({"levels": [{"grid": 2, "task": "grey"}]}, "level 2: grey hides patches, masked is 0; set it to 1 or more"),
        ({"levels": [{"grid": 1, "task": "jigsaw"}]}, "level 1: jigsaw has no other order"),
        ({"mirror": 1}, "mirror is 1; use true or false"),
        ({"keep_aspect": "no"}, "keep_aspect is 'no'; use true or false"),
        ({"image_mean": [0.5]}, r"image_mean is \[0.5\]; use three numbers"),
        ({"image_mean": "red"}, "image_mean is 'red'; use three numbers"),
        ({"image_std": [0, 1, 1]}, r"image_std is \[0, 1, 1\]; use three numbers above 0"),
        ({"joint_initializer_range": -1}, "joint_initializer_range is -1; use a number from 0 up"),
        ({"encoder_config": {"hidden_size": 33}}, "encoder_config.hidden_size is 33; use a multiple of num_attention"),
        ({"encoder_config": {"num_attention_heads": 0}}, "encoder_config.num_attention_heads is 0"),
    ],
)
def test_settings_that_cannot_work(tiny_config, setting, message):
    with pytest.raises(InputError, match=message) as error:
        tiny_config(**setting)
    assert "\n" not in str(error.value)


def test_the_published_table_has_55_patches_and_any_other_its_own(tiny_config):
    assert sum(level.patches for level in tiny_config().level_table) == 55
    levels = [{"grid": 6, "task": "grey", "masked": 2}, {"grid": 7}]
    assert [level.patches for level in tiny_config(levels=levels).level_table] == [36, 49]


def test_models_do_not_share_their_configuration(tiny_config):
    one, other = tiny_config(), tiny_config()
    one.levels[0]["task"] = "jigsaw"
    assert other.levels[0]["task"] == "rotation"
    assert tiny_config().levels[0]["task"] == "rotation"


@pytest.mark.parametrize(
    "setting, message",
    [
        ({"weights": {"MLM": 1.0}}, "no loss 'MLM'; use contrastive, AMLM"),
        ({"corruption": "pixels"}, "corruption is 'pixels'; use levels or photos"),
        ({"kl_temperature": 0}, "kl_temperature is 0"),
        ({"weights": {"ITM": -1}}, "weights.ITM is -1; use a number from 0 up"),
        ({"weights": {"ITM": float("nan")}}, "weights.ITM is nan"),
        ({"hard_negatives_from": 1.1}, "hard_negatives_from is 1.1; use a number from 0 to 1"),
    ],
)
def test_objectives_that_cannot_be(setting, message):
    with pytest.raises(InputError, match=message) as error:
        Objectives(**setting)
    assert "\n" not in str(error.value)
