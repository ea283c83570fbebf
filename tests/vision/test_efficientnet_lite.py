"""Our EfficientNet-Lite against the package that its weights were made for, and the normalisation that they expect."""

import pytest
import torch
from efficientnet_lite_pytorch import EfficientNet
from sklearn.datasets import load_sample_images
from torch.nn import functional as F
from transformers import AutoBackbone, AutoConfig

from kaleidobert.pretrained import packaged_weights
from kaleidobert.vision.backbones import backbone_parts, depthwise_parts
from kaleidobert.vision.efficientnet_lite import (
    IMAGE_MEAN,
    IMAGE_STD,
    SCALES,
    STAGES,
    ConvNorm,
    EfficientNetLiteBackbone,
    EfficientNetLiteConfig,
    convert_weights,
)

NAMES = ("efficientnet-lite0", "efficientnet-lite2")
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def published(name):
    return torch.load(packaged_weights(name), weights_only=True)


def trained(name, *out_features):
    """The backbone as a user of `transformers` would build it, in double precision."""
    width, depth = SCALES[int(name[-1])]
    config = AutoConfig.for_model("efficientnet-lite", width=width, depth=depth, out_features=list(out_features))
    model = AutoBackbone.from_config(config)
    model.load_state_dict(convert_weights(published(name), config))
    return model.eval().double()


def reference_maps(name, pixels):
    """The feature maps of stem, stages and head, computed by the reference package."""
    model = EfficientNet.from_name(name, image_size=None)
    model.load_state_dict(published(name))
    model.eval().double()
    maps = []
    last_of_stage = torch.tensor(EfficientNetLiteConfig(*SCALES[int(name[-1])]).repetitions).cumsum(0) - 1
    model._swish.register_forward_hook(lambda _, __, output: maps.append(output))
    for index in last_of_stage.tolist():
        model._blocks[index].register_forward_hook(lambda _, __, output: maps.append(output))
    with torch.no_grad():
        model.extract_features(pixels)
    return maps


@pytest.mark.parametrize("size", [(96, 96), (97, 75)])
@pytest.mark.parametrize("name", NAMES)
def test_every_stage_is_that_of_the_reference(name, size):
    pixels = torch.rand(2, 3, *size, dtype=torch.double, generator=torch.Generator().manual_seed(0)) * 2 - 1
    model = trained(name, *EfficientNetLiteConfig().stage_names)
    with torch.no_grad():
        found = model(pixels).feature_maps
    expected = reference_maps(name, pixels)
    assert len(found) == len(expected) == len(STAGES) + 2
    for ours, theirs, channels in zip(found, expected, model.channels, strict=True):
        assert ours.shape[1] == channels
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def test_training_mode_is_that_of_the_reference():
    """Batch statistics, and what becomes of the running ones."""
    pixels = torch.rand(2, 3, 64, 64, dtype=torch.double, generator=torch.Generator().manual_seed(0)) * 2 - 1
    reference = EfficientNet.from_name("efficientnet-lite0", image_size=None, drop_connect_rate=0)
    reference.load_state_dict(published("efficientnet-lite0"))
    reference.double().train()
    model = trained("efficientnet-lite0", "head").train()
    torch.testing.assert_close(model(pixels).feature_maps[0], reference.extract_features(pixels), rtol=1e-5, atol=1e-5)
    expected = convert_weights(reference.state_dict(), model.config)
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, expected[name], msg=name)


@pytest.mark.parametrize("size", [(96, 96), (97, 75)])
def test_neither_output_nor_gradients_depend_on_what_is_trained(size):
    """Strided convolutions are computed in other ways where weights are frozen, and where no gradient is needed."""
    pixels = torch.rand(1, 3, *size, dtype=torch.double, generator=torch.Generator().manual_seed(0)) * 2 - 1
    model = trained("efficientnet-lite0", "stage6")
    found = []
    for frozen in (False, True):
        for part in depthwise_parts(model) if frozen else []:
            part.requires_grad_(False)
        inputs = pixels.clone().requires_grad_()
        output = model(inputs).feature_maps[0]
        output.square().sum().backward()
        found.append((output.detach(), inputs.grad))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)
    with torch.no_grad():
        torch.testing.assert_close(model(pixels).feature_maps[0], found[0][0])


def test_stages_after_the_last_requested_one_are_not_run_and_hidden_states_are_the_maps():
    model = trained("efficientnet-lite0", "stage2", "stage3")
    with torch.no_grad():
        output = model(torch.zeros(1, 3, 64, 64, dtype=torch.double), output_hidden_states=True)
    assert [tuple(each.shape[1:]) for each in output.feature_maps] == [(24, 16, 16), (40, 8, 8)]
    assert len(output.hidden_states) == 4 and output.hidden_states[-1] is output.feature_maps[-1]


def test_parts():
    model = trained("efficientnet-lite2", "stage6")
    assert len(backbone_parts(model)) == 1 + len(STAGES)
    blocks = sum(model.config.repetitions)
    assert len(depthwise_parts(model)) == blocks and all(isinstance(part, ConvNorm) for part in depthwise_parts(model))


def test_saving_keeps_weights_and_stages(tmp_path):
    model = trained("efficientnet-lite2", "stage4", "stage6").float()
    model.save_pretrained(tmp_path)
    again = EfficientNetLiteBackbone.from_pretrained(tmp_path)
    assert again.out_features == ["stage4", "stage6"] and again.channels == [88, 208]
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in model.state_dict().items())


@pytest.fixture(scope="module")
def photos():
    """Ten overlapping squares of two natural photos, a palace and a flower: (10, 3, 224, 224) in [0, 1]."""
    squares = []
    for photo in load_sample_images().images:
        pixels = torch.from_numpy(photo.copy()).permute(2, 0, 1)[None].float() / 255
        pixels = F.interpolate(pixels, (320, 480), mode="bilinear", antialias=True)
        squares += [pixels[..., 48:272, x : x + 224] for x in range(0, 257, 64)]
    return torch.cat(squares)


def statistics_shift(model, pixels):
    """The squared distance of these photos' channel means from the trained ones, in trained variances.

    Mean over the channels of all linear layers, whose output is the normalised one.
    """
    shifts = []

    def measure(part, _, output):
        shifts.append((((output.mean((0, 2, 3)) - part.norm.bias) / part.norm.weight) ** 2).mean())

    hooks = [part.register_forward_hook(measure) for part in model.modules() if getattr(part, "linear", False)]
    with torch.no_grad():
        features = model(pixels).feature_maps[0]
    for hook in hooks:
        hook.remove()
    return features, torch.stack(shifts).mean().item()


def normalised(pixels, mean, std):
    return (pixels - torch.tensor(mean).view(1, 3, 1, 1)) / torch.tensor(std).view(1, 3, 1, 1)


@pytest.mark.parametrize("name", NAMES)
def test_the_weights_expect_127_and_128(name, photos):
    """Features of natural photos fit the trained statistics three times better than by ImageNet's normalisation."""
    model = trained(name, "head").float()
    features, shift = statistics_shift(model, normalised(photos, IMAGE_MEAN, IMAGE_STD))
    _, by_imagenet = statistics_shift(model, normalised(photos, *IMAGENET))
    assert shift < 0.1 and by_imagenet > 3 * shift
    weights = published(name)
    scores = features.mean((2, 3)) @ weights["_fc.weight"].T + weights["_fc.bias"]
    top = scores.topk(5).indices
    assert (top[:5] == 698).any(1).float().mean() > 0.5  # palace, the class of the first photo
