"""EfficientNet-Lite (Tan and Le, ICML 2019) as a `transformers` backbone.

The Lite variants have no squeeze-and-excitation, and ReLU6 throughout. The layers are those of the package
`efficientnet-lite-pytorch`, to which a test compares them; `kaleidobert.pretrained` finds trained weights. These expect
pixels normalised by a mean of 127 and a deviation of 128 (of 255), not by ImageNet's: channel means of natural photos
then differ from the trained ones by a squared distance of 0.07 (Lite0) and 0.06 variances (Lite2), by ImageNet's by
0.21 and 0.18 (`tests/vision/test_efficientnet_lite.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoBackbone, AutoConfig, PreTrainedConfig, PreTrainedModel
from transformers.backbone_utils import BackboneConfigMixin, BackboneMixin
from transformers.modeling_outputs import BackboneOutput
from transformers.utils.generic import can_return_tuple

IMAGE_MEAN, IMAGE_STD = (127 / 255,) * 3, (128 / 255,) * 3
STEM, HEAD = 32, 1280
# kernel, stride, expansion, channels and repetitions of each stage of Lite0
STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
SCALES = {0: (1.0, 1.0), 1: (1.0, 1.1), 2: (1.1, 1.2), 3: (1.2, 1.4), 4: (1.4, 1.8)}  # variant -> width and depth


class EfficientNetLiteConfig(BackboneConfigMixin, PreTrainedConfig):
    """``width``, ``depth``: multiples of Lite0's channels and layers. ``out_features``: names of ``stage_names``."""

    model_type = "efficientnet-lite"

    def __init__(
        self,
        width: float = 1.0,
        depth: float = 1.0,
        out_features: list[str] | None = None,
        out_indices: list[int] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.width = width
        self.depth = depth
        self.stage_names = ["stem", *(f"stage{index}" for index in range(1, len(STAGES) + 1)), "head"]
        self.set_output_features_output_indices(out_features=out_features, out_indices=out_indices)

    @property
    def channels(self) -> list[int]:
        """Channels of each of ``stage_names``; those of stem and head are the same for every width."""
        return [STEM, *(_rounded(self.width * stage[3]) for stage in STAGES), HEAD]

    @property
    def repetitions(self) -> list[int]:
        """Blocks of each stage; the first and the last have one for every depth."""
        return [
            count if index in (0, len(STAGES) - 1) else ceil(self.depth * count)
            for index, (*_, count) in enumerate(STAGES)
        ]


def _rounded(channels: float) -> int:
    """To the nearest multiple of 8, at most a tenth lower."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * channels else nearest


class ConvNorm(nn.Module):
    """Convolution with TensorFlow's padding, batch normalisation and, unless linear, ReLU6.

    With fixed statistics, the normalisation is folded into the convolution's weights, which saves a third of the time.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1, linear: bool = False
    ) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, kernel, stride, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.01)
        self.linear = linear

    def forward(self, pixels: Tensor) -> Tensor:
        norm, weight, bias = self.norm, self.convolution.weight, None
        if not norm.training:
            mean: Any = norm.running_mean
            variance: Any = norm.running_var
            scale = norm.weight * (variance + norm.eps).rsqrt()
            weight, bias = weight * scale.view(-1, 1, 1, 1), norm.bias - mean * scale
        found = _convolved(pixels, weight, bias, self.convolution.stride[0], self.convolution.groups)
        found = norm(found) if norm.training else found
        if self.linear:
            return found
        # Where there is a gradient, PyTorch would copy what it overwrites.
        return F.relu6(found, inplace=not found.requires_grad)


def _convolved(pixels: Tensor, weight: Tensor, bias: Tensor | None, stride: int, groups: int) -> Tensor:
    """`conv2d` with TensorFlow's padding, where strides pad even sides by one more at the right and the bottom.

    To pad the pixels so would copy them, which takes longer on CPUs than the convolution itself.
    """
    kernel = weight.shape[-1]
    if stride == 1:
        return F.conv2d(pixels, weight, bias, 1, kernel // 2, 1, groups)
    (top, bottom), (left, right) = (_same(size, kernel, stride) for size in pixels.shape[-2:])
    if pixels.is_cpu and not (pixels.requires_grad or weight.requires_grad):
        # Padded by as much at the left, which a tap of zero in front of the kernel leaves out.
        weight = F.pad(weight, [right - left, 0, bottom - top, 0])
        return F.conv2d(pixels, weight, bias, stride, (bottom, right), 1, groups)
    if groups > 1 and not weight.requires_grad:
        # The input's gradient takes three times as long where a depthwise convolution is strided.
        found = F.conv2d(pixels, weight, bias, 1, kernel // 2, 1, groups)
        return found[..., kernel // 2 - top :: stride, kernel // 2 - left :: stride]
    return F.conv2d(F.pad(pixels, [left, right, top, bottom]), weight, bias, stride, 0, 1, groups)


def _same(size: int, kernel: int, stride: int) -> tuple[int, int]:
    missing = max((ceil(size / stride) - 1) * stride + kernel - size, 0)
    return missing // 2, missing - missing // 2


class InvertedBottleneck(nn.Module):
    """MBConv: expansion, depthwise convolution and projection, with a residual where the shape stays the same."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        width = inputs * expansion
        self.expand = ConvNorm(inputs, width) if expansion > 1 else None
        self.depthwise = ConvNorm(width, width, kernel, stride, groups=width)
        self.project = ConvNorm(width, outputs, linear=True)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, features: Tensor) -> Tensor:
        wide = features if self.expand is None else self.expand(features)
        found = self.project(self.depthwise(wide))
        return found + features if self.residual else found


class EfficientNetLiteBackbone(BackboneMixin, PreTrainedModel):
    """The feature maps of any stages: pixels (B, 3, H, W), normalised -> maps (B, C, H / s, W / s), s from 2 to 32."""

    config_class = EfficientNetLiteConfig
    base_model_prefix = "backbone"
    main_input_name = "pixel_values"
    has_attentions = False

    def __init__(self, config: EfficientNetLiteConfig) -> None:
        super().__init__(config)
        self.num_features = config.channels
        self.stem = ConvNorm(3, STEM, kernel=3, stride=2)
        self.stages = nn.ModuleList(nn.Sequential(*blocks) for blocks in self._blocks(config))
        self.head = ConvNorm(config.channels[-2], HEAD)
        self.post_init()

    @staticmethod
    def _blocks(config: EfficientNetLiteConfig) -> Iterator[list[InvertedBottleneck]]:
        for index, ((kernel, stride, expansion, _, _), count) in enumerate(
            zip(STAGES, config.repetitions, strict=True)
        ):
            inputs, outputs = config.channels[index : index + 2]
            yield [
                InvertedBottleneck(
                    *((outputs, outputs, kernel, 1) if repeated else (inputs, outputs, kernel, stride)), expansion
                )
                for repeated in range(count)
            ]

    @can_return_tuple
    def forward(self, pixel_values: Tensor, output_hidden_states: bool | None = None, **kwargs: Any) -> BackboneOutput:  # noqa: ARG002
        """Only the stages up to the last requested one are run."""
        wanted = self.config.output_hidden_states if output_hidden_states is None else output_hidden_states
        last = self.stage_names.index(self.out_features[-1])
        states: list[Tensor] = []
        features = pixel_values
        for part in (self.stem, *self.stages, self.head)[: last + 1]:
            features = part(features)
            states.append(features)
        maps: Any = tuple(
            state for name, state in zip(self.stage_names, states, strict=False) if name in self.out_features
        )
        return BackboneOutput(feature_maps=maps, hidden_states=tuple(states) if wanted else None)


def convert_weights(published: dict[str, Tensor], config: EfficientNetLiteConfig) -> dict[str, Tensor]:
    """The weights of `efficientnet-lite-pytorch` under this module's names, without its classifier."""
    parts = {"_expand_conv": "expand.convolution", "_bn0": "expand.norm", "_depthwise_conv": "depthwise.convolution"}
    parts |= {"_bn1": "depthwise.norm", "_project_conv": "project.convolution", "_bn2": "project.norm"}
    ends = {
        "_conv_stem": "stem.convolution",
        "_bn0": "stem.norm",
        "_conv_head": "head.convolution",
        "_bn1": "head.norm",
    }
    places = [(stage, block) for stage, count in enumerate(config.repetitions) for block in range(count)]
    found = {}
    for name, value in published.items():
        first, *rest = name.split(".")
        if first == "_blocks":
            stage, block = places[int(rest[0])]
            found[".".join(("stages", str(stage), str(block), parts[rest[1]], *rest[2:]))] = value
        elif first in ends:
            found[".".join((ends[first], *rest))] = value
    return found


AutoConfig.register(EfficientNetLiteConfig.model_type, EfficientNetLiteConfig)
AutoBackbone.register(EfficientNetLiteConfig, EfficientNetLiteBackbone)
