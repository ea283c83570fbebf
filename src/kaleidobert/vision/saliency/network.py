"""A foreground network for CPUs after EGNet (Zhao et al., "EGNet: Edge Guidance Network for Salient Object
Detection", ICCV 2019), which the patent's FIG. 4 (402) uses to lock the product.

A U-Net of 1.1 M parameters. As in EGNet, an edge branch combines the finest local features with the deepest ones,
which locate the product, and learns the mask's edges; its features then guide the mask head. Unlike EGNet, the
guidance is applied at the finest scale only, and the backbone is not pre-trained.

The weights in the package are trained on synthetic photos only; see `training.train_saliency` for the command.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from kaleidobert.errors import InputError
from kaleidobert.vision.saliency.base import main_components

PACKAGED_WEIGHTS = Path(__file__).with_name("network.safetensors")
SIDE = 160  # photos are resized to squares of this side, in pixels
WIDTHS = (24, 48, 96, 160)  # channels at 1/2, 1/4, 1/8 and 1/16 of the side
EDGE_WIDTH = 16
METADATA = "kaleidobert-saliency"  # the only metadata key, so that equal weights give equal files


class SaliencyOutput(NamedTuple):
    """Logits of the ``mask`` (B, S, S) and of its ``edges`` (B, S/2, S/2)."""

    mask: Tensor
    edges: Tensor


def _conv_block(channels: int, width: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)
    )


class SaliencyNetwork(nn.Module):
    """Pixels (B, 3, S, S) in [0, 1], S a multiple of 16 -> `SaliencyOutput`."""

    def __init__(self, widths: tuple[int, ...] = WIDTHS, edge_width: int = EDGE_WIDTH) -> None:
        super().__init__()
        inputs = (3, *widths[:-1])
        self.encoder = nn.ModuleList(
            nn.Sequential(_conv_block(below, width, 2), _conv_block(width, width))
            for below, width in zip(inputs, widths, strict=True)
        )
        deepest = widths[-1]
        self.context = _conv_block(deepest, deepest)
        self.scene = nn.Linear(deepest, deepest)  # global context, added at every position
        decoder = zip(widths[::-1], widths[-2::-1], strict=False)
        self.decoder = nn.ModuleList(_conv_block(above + width, width) for above, width in decoder)
        self.location = nn.Conv2d(deepest, edge_width, 1)
        self.edge_features = _conv_block(widths[0] + edge_width, edge_width)
        self.edge_head = nn.Conv2d(edge_width, 1, 1)
        self.mask_head = nn.Sequential(
            _conv_block(widths[0] + edge_width, widths[0]), nn.Conv2d(widths[0], 4, 1), nn.PixelShuffle(2)
        )

    def forward(self, pixels: Tensor) -> SaliencyOutput:
        features = (pixels - 0.5) / 0.25
        skips: list[Tensor] = []
        for stage in self.encoder:
            features = stage(features)
            skips.append(features)  # (B, widths[i], S / 2^(i+1), ...)
        deep = self.context(features)
        deep = deep + self.scene(deep.mean(dim=(2, 3)))[:, :, None, None]  # (B, widths[-1], S/16, S/16)
        features = deep
        for stage, skip in zip(self.decoder, skips[-2::-1], strict=True):
            features = stage(torch.cat([_upsample_to(features, skip), skip], dim=1))  # up to (B, widths[0], S/2, S/2)
        edges = self.edge_features(torch.cat([skips[0], _upsample_to(self.location(deep), skips[0])], dim=1))
        mask = self.mask_head(torch.cat([features, edges], dim=1))  # (B, 1, S, S)
        return SaliencyOutput(mask[:, 0], self.edge_head(edges)[:, 0])


def _upsample_to(features: Tensor, like: Tensor) -> Tensor:
    """Nearest-neighbour upsampling to the size of ``like``; bilinear costs a fifth of the training time."""
    return F.interpolate(features, like.shape[-2:])


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
        self.network = network.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.side = side

    def __call__(self, image: Image.Image) -> np.ndarray:
        """Foreground mask (H, W) in [0, 1] of an RGB image."""
        pixels = torch.from_numpy(resize_to_square(image, self.side))[None].permute(
            0, 3, 1, 2
        )  # channels last in memory
        with torch.inference_mode():
            mask = self.network(pixels.float() / 255).mask[0].sigmoid().numpy()
        mask = mask * main_components(mask > 0.5)
        return np.asarray(Image.fromarray(mask).resize(image.size, Image.Resampling.BILINEAR))

    @classmethod
    def load(cls, path: Path) -> NetworkDetector:
        """Load weights written by `save_network`. Raises ``InputError`` for any other file."""
        try:
            with safe_open(path, "pt") as file:
                settings = json.loads((file.metadata() or {}).get(METADATA, "{}"))
                state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError, json.JSONDecodeError) as error:
            raise InputError(f"{path}: not a readable safetensors file ({error})") from error
        if not settings:
            raise InputError(f"{path}: holds no weights of a saliency network; train one with: kaleidobert saliency")
        network = SaliencyNetwork(tuple(settings["widths"]), settings["edge_width"])
        network.load_state_dict(state)
        return cls(network, settings["side"])


def resize_to_square(image: Image.Image, side: int) -> np.ndarray:
    """An RGB image as network input (side, side, 3) uint8; the aspect ratio is not preserved."""
    return np.array(image.resize((side, side), Image.Resampling.BILINEAR))


def save_network(network: SaliencyNetwork, path: Path, side: int = SIDE) -> None:
    """Write the weights as float16, with the metadata needed to rebuild the network."""
    widths = [stage[0][0].out_channels for stage in network.encoder]  # type: ignore[index]
    settings = {"side": side, "widths": widths, "edge_width": network.edge_head.in_channels}
    state = {
        name: (value.half() if value.is_floating_point() else value).contiguous()
        for name, value in network.state_dict().items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(state, path, {METADATA: json.dumps(settings)})
