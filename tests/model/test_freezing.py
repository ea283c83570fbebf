"""Parts of a trained start that are kept as they are, and learning rates of those that are not."""

import pytest
import torch
from torch import nn

from kaleidobert.errors import InputError
from kaleidobert.model import KaleidoBertForPreTraining
from kaleidobert.training.runs import freeze, learning_rate_of
from kaleidobert.training.settings import TrainingSettings
from kaleidobert.vision.backbones import backbone_parts

LITE = {"model_type": "efficientnet-lite", "width": 0.25, "depth": 0.5, "out_features": ["stage3", "stage5"]}


@pytest.fixture
def model(tiny_config):
    torch.manual_seed(0)
    return KaleidoBertForPreTraining(tiny_config(backbone_config=dict(LITE), fusion_layer=1, image_layers=1)).train()


def step(model, batch):
    """One step of plain gradient descent; the names of the parameters and statistics that it changed."""
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model(**batch).loss.backward()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter.sub_(parameter.grad)
    return {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}


@pytest.mark.parametrize(
    "settings, kept",
    [
        ({"frozen_stages": 2}, ("stem.", "stages.0.", "stages.1.")),
        ({"frozen_depthwise": True}, (".depthwise.convolution.", ".depthwise.norm.weight", ".depthwise.norm.bias")),
        ({"frozen_batch_norm": True}, (".running_mean", ".running_var", ".num_batches_tracked")),
        ({"frozen_embeddings": True}, ("bert.embeddings.", "lm_head.decoder.weight")),
        ({"frozen_layers": 2}, ("bert.encoder.layer.0.", "bert.encoder.layer.1.")),
        ({"freeze_backbone": True}, ("patch_encoder.",)),
    ],
)
def test_what_is_frozen_stays_and_the_rest_is_trained(model, make_batch, settings, kept):
    batch = make_batch(model.config)
    freeze(model.kaleidobert, TrainingSettings(**settings))
    model.eval().train()  # as the trainer does around each validation
    changed = step(model, batch)
    frozen = {name for name in model.state_dict() if any(part in name for part in kept)}
    statistics = ("running_mean", "running_var", "num_batches_tracked")
    assert frozen and not {name for name in changed & frozen if settings == {"frozen_batch_norm": True}}
    assert not {name for name in changed & frozen if not name.endswith(statistics)}
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert trained.isdisjoint({name for name in frozen if not name.endswith(statistics)})
    behind = ("backbone.stages.5", "backbone.stages.6", "backbone.head")  # the last stage that is used
    unused = {name for name in trained if any(part in name for part in behind)}
    assert all(model.get_parameter(name).grad is not None for name in trained - unused)
    assert len(changed & trained) > 0.8 * len(trained - unused)


def test_nothing_is_frozen_by_default(model):
    freeze(model.kaleidobert, TrainingSettings())
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert all(part.training for part in model.modules())


def test_statistics_are_frozen_in_training_mode_only_on_request(model):
    norms = [part for part in model.kaleidobert.patch_encoder.modules() if isinstance(part, nn.BatchNorm2d)]
    freeze(model.kaleidobert, TrainingSettings(frozen_batch_norm=True))
    model.eval().train()
    assert norms and not any(part.training for part in norms) and model.kaleidobert.bert.training


@pytest.mark.parametrize(
    "backbone",
    [
        {"model_type": "resnet", "embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"},
        {"model_type": "convnext", "num_stages": 2, "hidden_sizes": [8, 16], "depths": [1, 1]},
        {"model_type": "dinov2", "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "patch_size": 8},
        {"model_type": "swin", "embed_dim": 8, "depths": [1, 1], "num_heads": [1, 2], "window_size": 4},
        {"model_type": "efficientnet-lite", "width": 0.25, "depth": 0.5},
    ],
    ids=lambda each: each["model_type"],
)
def test_the_stages_of_a_backbone(tiny_config, backbone):
    """They hold all its weights but those of the layers behind them."""
    model = KaleidoBertForPreTraining(tiny_config(backbone_config=dict(backbone)))
    parts = backbone_parts(model.kaleidobert.patch_encoder.backbone)
    own = {id(parameter) for part in parts for parameter in part.parameters()}
    rest = [
        name
        for name, parameter in model.kaleidobert.patch_encoder.backbone.named_parameters()
        if id(parameter) not in own
    ]
    assert all("norm" in name or name.startswith("head.") for name in rest)
    model.kaleidobert.freeze(stages=1)
    assert not any(parameter.requires_grad for part in parts[:2] for parameter in part.parameters())
    assert all(parameter.requires_grad for part in parts[2:] for parameter in part.parameters())


def test_a_backbone_of_unknown_stages_is_refused():
    unknown = nn.Sequential(nn.Conv2d(3, 8, 3))
    with pytest.raises(InputError, match="training.frozen_stages: the stages of Sequential are not known; use 0"):
        backbone_parts(unknown)


@pytest.mark.parametrize(
    "name, rate",
    [
        ("kaleidobert.bert.encoder.layer.5.output.dense.weight", 1.0),
        ("kaleidobert.bert.encoder.layer.4.output.dense.weight", 0.5),
        ("kaleidobert.bert.encoder.layer.0.output.dense.weight", 0.5**5),
        ("kaleidobert.bert.embeddings.word_embeddings.weight", 0.5**6),
        ("kaleidobert.patch_encoder.backbone.stages.0.0.project.convolution.weight", 0.1),
        ("kaleidobert.patch_encoder.backbone.encoder.layer.0.weight", 0.1),
        ("kaleidobert.image_layers.0.output.dense.weight", 1.0),
        ("kaleidobert.patch_embeddings.projection.weight", 1.0),
        ("lm_head.decoder.bias", 1.0),
        ("logit_scale", 1.0),
    ],
)
def test_learning_rates(name, rate):
    settings = TrainingSettings(learning_rate=2.0, layer_decay=0.5, backbone_learning_rate=0.2)
    assert learning_rate_of(settings, 6, name) == pytest.approx(2 * rate)
    assert learning_rate_of(TrainingSettings(learning_rate=2.0), 6, name) == 2.0


@pytest.mark.parametrize(
    "name, rate",
    [
        ("kaleidobert.patch_encoder.backbone.stages.3.0.weight", 0.1),
        ("kaleidobert.bert.encoder.layer.5.output.dense.weight", 0.5),
        ("kaleidobert.bert.encoder.layer.4.output.dense.weight", 0.25),
        ("kaleidobert.patch_embeddings.feature.weight", 2.0),
        ("lm_head.transform.0.weight", 2.0),
    ],
)
def test_trained_parts_may_learn_more_slowly_than_new_ones(name, rate):
    rates = {"learning_rate": 2.0, "text_learning_rate": 0.5, "backbone_learning_rate": 0.1, "layer_decay": 0.5}
    assert learning_rate_of(TrainingSettings(**rates), 6, name) == pytest.approx(rate)
