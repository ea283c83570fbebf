"""Exported graphs give what the model gives, whatever it is built of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from kaleidobert.errors import InputError
from kaleidobert.export.graphs import (
    CaptionEntry,
    Entry,
    ImageEntry,
    MatchingEntry,
    PatchEntry,
    SaliencyEntry,
    TextEntry,
)
from kaleidobert.export.onnx_export import write_graph
from kaleidobert.model import KaleidoBertForRetrieval
from kaleidobert.model.layers import PrefixCache
from kaleidobert.scoring.exported import OnnxGraph
from kaleidobert.vision.saliency.network import NetworkDetector, SaliencyNetwork

PATCHES, SIZE = 55, 32
CLIP = {"model_type": "vision-tower", "tower": {"model_type": "clip_vision_model", "image_size": 40, "patch_size": 10}}
CLIP["tower"] |= {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
LITE = {"model_type": "efficientnet-lite", "out_features": ["stage2", "stage4"]}


@pytest.fixture(scope="module")
def make_model(tiny_config: Any) -> Any:
    def make(**settings: Any) -> KaleidoBertForRetrieval:
        torch.manual_seed(0)
        model = KaleidoBertForRetrieval(tiny_config(**settings)).eval()
        for part in model.modules():  # random, a model gives the same whatever it is given
            if isinstance(part, torch.nn.Linear):
                torch.nn.init.normal_(part.weight, std=0.3)
        return model

    return make


def exported(entry: Entry, folder: Path, *inputs: Tensor) -> list[tuple[np.ndarray, np.ndarray]]:
    """What the graph and its module give for all rows of the inputs, and then for the first row alone."""
    write_graph(entry, folder / "graph.onnx")
    graph, pairs = OnnxGraph(folder / "graph.onnx"), []
    for rows in (len(inputs[0]), 1) if any(entry.axes.values()) else (len(inputs[0]),):
        given = [each[:rows] for each in inputs]
        with torch.no_grad():
            expected = entry(*given)
        expected = expected if isinstance(expected, tuple) else (expected,)
        found = graph(**{name: each.numpy() for name, each in zip(entry.axes, given, strict=True)})
        pairs += [(one, other.numpy()) for one, other in zip(found, expected, strict=True)]
    return pairs


def check(pairs: list[tuple[np.ndarray, np.ndarray]]) -> None:
    for found, expected in pairs:
        assert len(found) == 1 or found.std() > 0
        np.testing.assert_allclose(found, expected, atol=1e-4)


def texts(rows: int = 3, length: int = 7) -> tuple[Tensor, Tensor]:
    ids = torch.randint(5, 60, (rows, length), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    mask[0, -3:] = 0
    return ids, mask


def states(rows: int = 3) -> Tensor:
    return torch.randn(rows, PATCHES, SIZE, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize(
    "settings",
    [
        {"patch_features": "crops"},
        {"fusion_layer": 1, "mirror": True},
        {"fusion_layer": 2, "image_layers": 1, "backbone_config": LITE, "image_size": 64},
        {"fusion_layer": 1, "image_layers": 0, "backbone_config": CLIP},
    ],
    ids=["resnet, crops", "resnet, mirrored", "efficientnet", "clip"],
)
def test_photos(make_model: Any, tmp_path: Path, settings: dict) -> None:
    model = make_model(**settings)
    side = model.config.image_size
    check(exported(ImageEntry(model), tmp_path, torch.rand(3, 3, side, side)))


def test_patches(make_model: Any, tmp_path: Path) -> None:
    check(exported(PatchEntry(make_model()), tmp_path, states()))


@pytest.mark.parametrize("fusion_layer", [0, 1])
def test_texts(make_model: Any, tmp_path: Path, fusion_layer: int) -> None:
    ids, mask = texts()
    embeds, tokens, *first = exported(TextEntry(make_model(fusion_layer=fusion_layer)), tmp_path, ids, mask)
    seen = mask.numpy() > 0
    check([embeds, (tokens[0][seen], tokens[1][seen]), first[0], (first[1][0][seen[:1]], first[1][1][seen[:1]])])


@pytest.mark.parametrize("settings", [{}, {"fusion_layer": 1, "itm_prefix": True}], ids=["single stream", "prefix"])
def test_matching(make_model: Any, tmp_path: Path, settings: dict) -> None:
    model, (ids, mask), patches = make_model(**settings), texts(), states()
    with torch.no_grad():
        tokens, logits = model.kaleidobert.embed_tokens(ids, mask), model.itm_logits(ids, mask, patches)
    pair, first = exported(MatchingEntry(model), tmp_path, tokens, mask, patches)
    check([pair, (pair[0], logits.numpy()), (first[0], logits[:1].numpy())])


@pytest.mark.parametrize("fusion_layer", [0, 1])
def test_captions(make_model: Any, tmp_path: Path, fusion_layer: int) -> None:
    """Of the second text, its photo is not seen."""
    model, (ids, mask), patches = make_model(fusion_layer=fusion_layer), texts(), states()
    with torch.no_grad():
        expected = model.token_log_likelihoods(ids, mask, model.kaleidobert.encode_prefix(patches))
        expected[1] = model.token_log_likelihoods(ids, mask, PrefixCache())[1]
    (found, _), _ = exported(CaptionEntry(model), tmp_path, ids, patches, torch.arange(3) == 1)
    followed = mask[:, 1:].numpy() > 0
    check([(found[followed], expected.numpy()[followed])])


def test_the_foreground_network(tmp_path: Path) -> None:
    torch.manual_seed(0)
    entry = SaliencyEntry(NetworkDetector(SaliencyNetwork().eval(), 64))
    check(exported(entry, tmp_path, torch.randint(0, 255, (64, 64, 3), dtype=torch.uint8)))


def test_what_cannot_be_traced_is_refused_by_name(make_model: Any, tmp_path: Path) -> None:
    class Untraceable(PatchEntry):
        def forward(self, patch_states: Tensor) -> tuple[Tensor, Tensor]:
            return super().forward(patch_states if patch_states.sum() > 0 else -patch_states)

    with pytest.raises(InputError, match="the projection of patches cannot be exported to ONNX: "):
        write_graph(Untraceable(make_model()), tmp_path / "graph.onnx")
    assert not any(tmp_path.iterdir())
