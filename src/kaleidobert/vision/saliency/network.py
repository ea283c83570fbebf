"""A foreground network for CPUs after EGNet (Zhao et al., "EGNet: Edge Guidance Network for Salient Object
Detection", ICCV 2019), which the patent's FIG. 4 (402) uses to lock the product.

The first six stages of EfficientNet-Lite0, which start from weights trained on ImageNet, and a light decoder. As in
EGNet, an edge branch combines the finest local features with the deepest ones, which locate the product, and learns the
mask's edges; its features then guide the mask head. Unlike EGNet, the guidance is applied at the finest scale only.

docs/saliency.md has the commands that trained the weights in the package, and the photos that they saw.
"""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from kaleidobert.errors import InputError
from kaleidobert.vision.efficientnet_lite import (
    IMAGE_MEAN,
    IMAGE_STD,
    ConvNorm,
    EfficientNetLiteBackbone,
    EfficientNetLiteConfig,
)
from kaleidobert.vision.saliency.base import detect

PACKAGED_WEIGHTS = Path(__file__).with_name("network.safetensors")
SIDE = 160  # photos are resized to squares of this side, in pixels
SKIPS = ("stage1", "stage2", "stage3", "stage5", "stage6")  # of the encoder, at 1/2 to 1/32 of the side
DEEPEST_BLOCKS = 3  # of the last of these; the fourth brings nothing for a tenth of the weights
DECODER = (64, 48, 32, 16)  # channels at 1/16, 1/8, 1/4 and 1/2 of the side
METADATA = "kaleidobert-saliency"  # the only metadata key, so that equal weights give equal files


class SaliencyOutput(NamedTuple):
    """Logits of the ``mask`` (B, S, S) and of its ``edges`` (B, S/2, S/2)."""

    mask: Tensor
    edges: Tensor


class _Stage(nn.Module):
    """One step of the decoder: features of half the size are added to a skip's and, but at the finest, merged."""

    def __init__(self, above: int, skip: int, channels: int, merged: bool = True) -> None:
        super().__init__()
        self.reduce = ConvNorm(above, channels, linear=True)
        self.lateral = ConvNorm(skip, channels, linear=True)
        self.merge = ConvNorm(channels, channels, 3) if merged else nn.ReLU6()

    def forward(self, features: Tensor, skip: Tensor) -> Tensor:
        return self.merge(self.lateral(skip) + _upsample_to(self.reduce(features), skip))


class SaliencyNetwork(nn.Module):
    """Pixels (B, 3, S, S) in [0, 1], S a multiple of 32 -> `SaliencyOutput`.

    ``width``: the encoder's channels, as a multiple of EfficientNet-Lite0's. ``decoder``: channels at 1/16, 1/8, 1/4
    and 1/2 of the side.
    """

    def __init__(self, width: float = 1.0, decoder: tuple[int, ...] = DECODER) -> None:
        super().__init__()
        self.width, self.widths = width, tuple(decoder)
        self.encoder = EfficientNetLiteBackbone(EfficientNetLiteConfig(width, out_features=list(SKIPS)))
        self.encoder.head = nn.Identity()  # type: ignore[assignment]  # neither it nor the last stage is used
        del self.encoder.stages[-1]
        del self.encoder.stages[-1][DEEPEST_BLOCKS:]  # type: ignore[operator]
        *skips, deepest = self.encoder.channels
        finest = decoder[-1]
        self.context = ConvNorm(deepest, decoder[0], linear=True)
        self.scene = nn.Linear(deepest, decoder[0])  # global context, added at every position
        self.decoder = nn.ModuleList(
            _Stage(above, skip, channels, merged=channels != finest)
            for above, skip, channels in zip((decoder[0], *decoder[:-1]), skips[::-1], decoder, strict=True)
        )
        self.location = ConvNorm(decoder[0], finest, linear=True)
        self.edge_features = ConvNorm(skips[0] + finest, finest, 3)
        self.edge_head = nn.Conv2d(finest, 1, 1)
        self.mask_head = nn.Sequential(ConvNorm(2 * finest, finest, 3), nn.Conv2d(finest, 4, 1), nn.PixelShuffle(2))
        for name, module in self.named_modules():
            if isinstance(module, nn.BatchNorm2d) and not name.startswith("encoder."):
                module.momentum = 0.1  # the encoder's are right from the start

    def forward(self, pixels: Tensor) -> SaliencyOutput:
        *skips, deepest = self.encoder((pixels - IMAGE_MEAN[0]) / IMAGE_STD[0]).feature_maps  # at 1/2 to 1/32
        features = F.relu6(self.context(deepest) + self.scene(deepest.mean(dim=(2, 3)))[:, :, None, None])
        located = None
        for stage, skip in zip(self.decoder, skips[::-1], strict=True):
            features = stage(features, skip)  # up to (B, decoder[-1], S/2, S/2)
            located = features if located is None else located  # (B, decoder[0], S/16, S/16)
        edges = self.edge_features(torch.cat([skips[0], _upsample_to(self.location(located), skips[0])], dim=1))
        mask = self.mask_head(torch.cat([features, edges], dim=1))  # (B, 1, S, S)
        return SaliencyOutput(mask[:, 0], self.edge_head(edges)[:, 0])


def _upsample_to(features: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(features, like.shape[-2:], mode="bilinear")


def edge_targets(masks: Tensor) -> Tensor:
    """Masks (B, S, S) in [0, 1] -> edge maps (B, S/2, S/2) in {0, 1}: positions next to the mask's outline.

    The photo's own edge does not count, even where it cuts the product.
    """
    inside = (F.avg_pool2d(masks[:, None].float(), 2) > 0.5).float()
    padded = F.pad(inside, (1, 1, 1, 1), mode="replicate")
    return (F.max_pool2d(padded, 3, 1) + F.max_pool2d(-padded, 3, 1))[:, 0]


def saliency_loss(output: SaliencyOutput, masks: Tensor) -> dict[str, Tensor]:
    """Loss terms for masks (B, S, S) in [0, 1]: ``mask`` (BCE), ``iou`` (1 - soft IoU) and ``edges``.

    The edge loss is EGNet's balanced cross-entropy: edge positions weigh as much as all others together.
    """
    probability = output.mask.sigmoid()
    intersection = (probability * masks).sum(dim=(1, 2))
    union = (probability + masks - probability * masks).sum(dim=(1, 2))
    edges = edge_targets(masks)
    positive = edges.mean().clamp(1e-3, 1 - 1e-3)  # the fraction of edge positions
    weights = torch.where(edges > 0, 0.5 / positive, 0.5 / (1 - positive))
    return {
        "mask": F.binary_cross_entropy_with_logits(output.mask, masks),
        "iou": (1 - (intersection + 1) / (union + 1)).mean(),
        "edges": F.binary_cross_entropy_with_logits(output.edges, edges, weights),
    }


class NetworkDetector:
    """A `SaliencyNetwork` as a foreground detector. May be called from several threads."""

    def __init__(self, network: SaliencyNetwork, side: int = SIDE) -> None:
        self.network = folded(network).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.side = side

    def __call__(self, image: Image.Image) -> np.ndarray:
        """Foreground mask (H, W) in [0, 1] of an RGB image."""
        return detect(self._mask, self.side, image)

    @torch.inference_mode()
    def _mask(self, photo: np.ndarray) -> np.ndarray:
        pixels = torch.from_numpy(photo)[None].permute(0, 3, 1, 2)  # channels last in memory
        return self.network(pixels.float() / 255).mask[0].sigmoid().numpy()

    @classmethod
    def load(cls, path: Path) -> NetworkDetector:
        """Load weights written by `save_network`. Raises ``InputError`` for any other file."""
        return cls(*load_network(path))


def folded(network: SaliencyNetwork) -> SaliencyNetwork:
    """A copy for evaluation with every normalisation folded into its convolution, which saves 30 % of the time."""
    copy = deepcopy(network).eval()
    for parent in list(copy.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, ConvNorm):
                setattr(parent, name, _folded(child))
    return copy


def _folded(unit: ConvNorm) -> nn.Sequential:
    convolution = fuse_conv_bn_eval(unit.convolution, unit.norm)
    padding = convolution.kernel_size[0] - convolution.stride[0]  # in all, as sides are multiples of the stride
    before, after = padding // 2, padding - padding // 2
    # A tap of zero in front of the kernel instead of less padding there, for which the pixels would be copied.
    more = after - before
    convolution.weight = nn.Parameter(F.pad(convolution.weight, [more, 0, more, 0]), requires_grad=False)
    convolution.kernel_size, convolution.padding = tuple(convolution.weight.shape[2:]), (after, after)
    return nn.Sequential(convolution, nn.Identity() if unit.linear else nn.ReLU6(inplace=True))


def load_network(path: Path) -> tuple[SaliencyNetwork, int]:
    """The network and the side of its photos, of a file that `save_network` wrote. Raises ``InputError`` for others."""
    try:
        with safe_open(path, "pt") as file:
            settings = json.loads((file.metadata() or {}).get(METADATA, "{}"))
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, json.JSONDecodeError) as error:
        raise InputError(f"{path}: not a readable safetensors file ({error})") from error
    if not settings:
        raise InputError(f"{path}: holds no weights of a saliency network; train one with: kaleidobert saliency")
    if "decoder" not in settings:
        raise InputError(f"{path}: weights of an older network; train them again with: kaleidobert saliency")
    network = SaliencyNetwork(settings["width"], tuple(settings["decoder"]))
    network.load_state_dict(state)
    return network, settings["side"]


def save_network(network: SaliencyNetwork, path: Path, side: int = SIDE) -> None:
    """Write the weights as float16, with the metadata needed to rebuild the network."""
    settings = {"side": side, "width": network.width, "decoder": network.widths}
    state = {
        name: (value.half() if value.is_floating_point() else value).contiguous()
        for name, value in network.state_dict().items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(state, path, {METADATA: json.dumps(settings)})
