"""Any backbone of `transformers` gives features (B, P, D), in both modes and for any levels."""

import pytest
import torch
from transformers import ConvNextConfig, ResNetConfig, SwinConfig

from kaleidobert.levels import PUBLISHED, Level, patch_count
from kaleidobert.vision.backbones import PatchEncoder

RESNET = ResNetConfig(
    embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic", out_features=["stage2"]
)
CONVNEXT = ConvNextConfig(num_stages=2, hidden_sizes=[8, 12], depths=[1, 1], out_features=["stage2"])
SWIN = SwinConfig(
    image_size=32, patch_size=2, embed_dim=8, depths=[1, 1], num_heads=[2, 2], window_size=4, out_features=["stage2"]
)
LEVELS = {
    "published": PUBLISHED,
    "subset": (Level(4), Level(1)),
    "six": tuple(Level(n) for n in range(1, 7)),
}


def encoder(config=RESNET, mode="pyramid", crop_size=32, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)):
    torch.manual_seed(0)
    return PatchEncoder(config, mode, crop_size, mean, std).eval()


@pytest.fixture(scope="module")
def pixels():
    return torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("levels", LEVELS.values(), ids=LEVELS)
@pytest.mark.parametrize("mode", ["crops", "pyramid"])
@torch.no_grad()
def test_both_modes_give_one_feature_per_patch(pixels, mode, levels):
    encode = encoder(mode=mode)
    features = encode(pixels, levels)
    assert encode.feature_size == 16
    assert features.shape == (2, patch_count(levels), 16)
    if levels is PUBLISHED:
        assert features.shape[1] == 55


@pytest.mark.parametrize(("config", "size"), [(CONVNEXT, 12), (SWIN, 16)], ids=["convnext", "swin"])
@pytest.mark.parametrize("mode", ["crops", "pyramid"])
@torch.no_grad()
def test_other_backbones(pixels, config, size, mode):
    features = encoder(config, mode)(pixels, PUBLISHED)
    assert features.shape == (2, 55, size)
    assert features.isfinite().all() and features[0].std() > 0


@torch.no_grad()
def test_both_modes_agree_on_the_first_level(pixels):
    """With a single patch, encoding a crop of the same size equals pooling the whole feature map."""
    whole = [Level(1)]
    assert torch.allclose(encoder(mode="crops")(pixels, whole), encoder()(pixels, whole), atol=1e-5)


@torch.no_grad()
def test_crops_are_independent_of_their_neighbours_and_pooled_patches_are_not(pixels):
    changed = pixels.clone()
    changed[:, :, :16, 16:] = 0  # the right upper quarter

    def moved(encode):
        before, after = encode(pixels, [Level(2)]), encode(changed, [Level(2)])
        return ((before - after).abs().amax(dim=(0, 2)) > 1e-4).tolist()

    assert moved(encoder(mode="crops", crop_size=16)) == [False, True, False, False]
    assert moved(encoder(mode="pyramid")) == [True, True, True, True]


@torch.no_grad()
def test_pixels_are_normalised_inside(pixels):
    mean, std = (0.4, 0.5, 0.6), (0.2, 0.3, 0.4)
    normalised = (pixels - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    plain = encoder(mean=(0, 0, 0), std=(1, 1, 1))
    assert torch.allclose(
        encoder(mean=mean, std=std)(pixels, PUBLISHED), plain(normalised, PUBLISHED), rtol=1e-3, atol=1e-4
    )
