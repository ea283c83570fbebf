"""The vision tower of a CLIP or SigLIP (Radford et al. 2021; Zhai et al. 2023) as a `transformers` backbone.

Its patch tokens, after the last norm, are the feature map.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor
from transformers import AutoBackbone, AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel
from transformers.backbone_utils import BackboneConfigMixin, BackboneMixin
from transformers.modeling_outputs import BackboneOutput
from transformers.utils.generic import can_return_tuple

from kaleidobert.errors import InputError

TOWERS = {"clip": "clip_vision_model", "siglip": "siglip_vision_model"}  # model_type of a pair, and of its tower


class VisionTowerConfig(BackboneConfigMixin, PreTrainedConfig):
    """``tower``: the configuration of a CLIP's or SigLIP's vision model."""

    model_type = "vision-tower"
    sub_configs = {"tower": AutoConfig}

    def __init__(
        self,
        tower: dict[str, Any] | PreTrainedConfig | None = None,
        out_features: list[str] | None = None,
        out_indices: list[int] | None = None,
        **kwargs: Any,
    ) -> None:
        if not isinstance(tower, PreTrainedConfig):
            tower = AutoConfig.for_model(**{"model_type": TOWERS["clip"], **(tower or {})})
        if tower.model_type not in TOWERS.values():
            raise InputError(f"a vision tower is a {' or a '.join(TOWERS.values())}, not a {tower.model_type}")
        self.tower = tower
        self.stage_names = ["patches"]
        super().__init__(**kwargs)
        self.set_output_features_output_indices(out_features=out_features, out_indices=out_indices)

    @property
    def patch_size(self) -> int:
        return self.tower.patch_size


class VisionTowerBackbone(BackboneMixin, PreTrainedModel):
    """Pixels (B, 3, H, W), normalised -> a map (B, C, H / p, W / p) of the patches of p pixels.

    Positions are interpolated where a photo's size is not the tower's.
    """

    config_class = VisionTowerConfig
    base_model_prefix = "backbone"
    main_input_name = "pixel_values"
    has_attentions = False
    _supports_sdpa = True

    def __init__(self, config: VisionTowerConfig) -> None:
        super().__init__(config)
        self.num_features = [config.tower.hidden_size]
        self.tower = AutoModel.from_config(config.tower)
        self.post_init()

    @can_return_tuple
    def forward(self, pixel_values: Tensor, **kwargs: Any) -> BackboneOutput:  # noqa: ARG002
        states = self.tower(pixel_values, interpolate_pos_encoding=True).last_hidden_state  # (B, 1 + N, C) or (B, N, C)
        if self.config.tower.model_type == TOWERS["clip"]:
            states = self._norm(states)
        side = [size // self.config.patch_size for size in pixel_values.shape[-2:]]
        patches = states[:, -side[0] * side[1] :]  # without [CLS]
        maps: Any = (patches.transpose(1, 2).unflatten(2, side),)
        return BackboneOutput(feature_maps=maps)

    def _norm(self, states: Tensor) -> Tensor:
        """CLIP's last norm, which the library applies to [CLS] alone."""
        return getattr(self.tower, "vision_model", self.tower).post_layernorm(states)


AutoConfig.register(VisionTowerConfig.model_type, VisionTowerConfig)
AutoBackbone.register(VisionTowerConfig, VisionTowerBackbone)
