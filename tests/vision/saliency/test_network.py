"""The network's shapes, edge targets, losses and file, and the accuracy of the packaged weights."""

import json
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from kaleidobert.errors import InputError
from kaleidobert.model.image_processing import KaleidoBertImageProcessor
from kaleidobert.synthetic.composites import composites
from kaleidobert.vision.saliency.base import locked_box
from kaleidobert.vision.saliency.border_colour import border_colour
from kaleidobert.vision.saliency.detectors import detector, packaged_network
from kaleidobert.vision.saliency.network import (
    METADATA,
    PACKAGED_WEIGHTS,
    SaliencyNetwork,
    SaliencyOutput,
    edge_targets,
    folded,
    load_network,
    saliency_loss,
    save_network,
)


def iou(found, true):
    a, b = found > 0.5, np.asarray(true) > 127
    return (a & b).sum() / (a | b).sum()


@pytest.fixture(scope="module")
def busy():
    return list(composites(20, seed=11, busy=1.0))


def small_network():
    torch.manual_seed(0)
    return SaliencyNetwork(0.25, (16, 16, 8, 8))


def test_shapes_and_size():
    output = SaliencyNetwork()(torch.rand(2, 3, 64, 96))
    assert output.mask.shape == (2, 64, 96) and output.edges.shape == (2, 32, 48)
    assert 1.5e6 < sum(weight.numel() for weight in SaliencyNetwork().parameters()) < 2.5e6


def test_folding_the_normalisation_changes_no_logit():
    network = small_network().train()
    for _ in range(3):  # moves the decoder's statistics
        network(torch.rand(2, 3, 64, 64))
    for module in network.encoder.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.5, 0.5)
            module.running_var.uniform_(0.5, 2)
    pixels = torch.rand(2, 3, 96, 64)
    with torch.no_grad():
        plain, fast = network.eval()(pixels), folded(network)(pixels)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in folded(network).modules())
    for one, other in zip(plain, fast, strict=True):
        assert one.std() > 0.01
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


def test_edge_targets_follow_the_outline_but_not_the_photo_s_edge():
    mask = torch.zeros(1, 16, 16)
    mask[:, 4:16, 4:12] = 1  # cut by the lower edge
    expected = torch.zeros(8, 8)
    expected[1:, 1:7] = 1  # one position to either side of the outline ...
    expected[3:, 3:5] = 0  # ... but not further in
    assert torch.equal(edge_targets(mask)[0], expected)
    assert not edge_targets(torch.ones(1, 8, 8)).any() and not edge_targets(torch.zeros(1, 8, 8)).any()


def test_the_edge_loss_weighs_edges_and_the_rest_equally():
    mask = torch.zeros(1, 32, 32)
    mask[:, 8:24, 8:24] = 1
    edges = edge_targets(mask)
    none, everywhere = torch.full((1, 16, 16), -4.0), torch.full((1, 16, 16), 4.0)
    losses = [saliency_loss(SaliencyOutput(mask, guess), mask)["edges"] for guess in (none, everywhere)]
    assert edges.mean() < 0.4
    torch.testing.assert_close(losses[0], losses[1])


def test_a_perfect_mask_has_no_loss_and_an_empty_one_no_nan():
    mask = torch.zeros(2, 32, 32)
    mask[0, 8:24, 8:24] = 1
    perfect = SaliencyOutput(200 * (mask - 0.5), 200 * (edge_targets(mask) - 0.5))
    assert all(part < 1e-4 for part in saliency_loss(perfect, mask).values())
    wrong = saliency_loss(SaliencyOutput(-perfect.mask, -perfect.edges), mask)
    assert all(part > 0.4 for part in wrong.values())


def test_every_part_gets_a_gradient():
    network = small_network().train()
    parts = saliency_loss(network(torch.rand(2, 3, 64, 64)), (torch.rand(2, 64, 64) > 0.5).float())
    parts["edges"].backward(retain_graph=True)
    assert network.edge_head.weight.grad is not None and network.mask_head[1].weight.grad is None
    from_edges = network.edge_features.convolution.weight.grad.clone()
    parts["mask"].backward()
    assert all(weight.grad is not None for weight in network.parameters())
    grown = network.edge_features.convolution.weight.grad - from_edges
    assert grown.abs().sum() > 0  # the edge branch guides the mask head


def test_a_saved_network_is_loaded_as_it_was(tmp_path):
    network = small_network()
    save_network(network, tmp_path / "new" / "small.safetensors", side=32)
    loaded, side = load_network(tmp_path / "new" / "small.safetensors")
    assert side == 32
    for name, value in loaded.state_dict().items():
        torch.testing.assert_close(value, network.state_dict()[name], atol=1e-3, rtol=1e-3)
    mask = detector(str(tmp_path / "new" / "small.safetensors"))(Image.new("RGB", (50, 30)))
    assert mask.shape == (30, 50) and 0 <= mask.min() and mask.max() <= 1


def test_files_without_weights_are_named(tmp_path):
    (tmp_path / "text.safetensors").write_text("nothing")
    save_file({"x": torch.zeros(1)}, tmp_path / "other.safetensors")
    save_file({"x": torch.zeros(1)}, tmp_path / "old.safetensors", {METADATA: json.dumps({"widths": [24, 48]})})
    reasons = {
        "text": "not a readable",
        "other": "holds no weights of a saliency network",
        "old": "weights of an older network; train them again",
    }
    for name, reason in reasons.items():
        with pytest.raises(InputError, match=f"{name}.safetensors: {reason}") as caught:
            detector(str(tmp_path / f"{name}.safetensors"))
        assert "\n" not in str(caught.value)


def test_the_packaged_weights_beat_border_colour_on_busy_backgrounds(busy):
    assert PACKAGED_WEIGHTS.stat().st_size < 5e6
    learned = np.mean([iou(packaged_network(image), mask) for image, mask in busy])
    by_colour = np.mean([iou(border_colour(image), mask) for image, mask in busy])
    assert learned > 0.8 and learned > by_colour + 0.2


def test_the_packaged_weights_on_a_studio_shot_and_on_an_empty_photo():
    image = Image.new("RGB", (90, 120), "white")
    image.paste((40, 60, 120), (25, 30, 65, 95))
    (x1, y1, x2, y2), found = locked_box(packaged_network(image))
    assert found and abs(x1 - 25) < 8 and abs(y1 - 30) < 8 and abs(x2 - 65) < 8 and abs(y2 - 95) < 8
    empty = Image.new("RGB", (90, 120), "white")
    assert locked_box(packaged_network(empty)) == ((0, 0, 90, 120), False)


def test_a_processor_with_the_network_can_be_pickled_and_used_in_threads(busy):
    processor = pickle.loads(pickle.dumps(KaleidoBertImageProcessor(32, "network")))
    photos = [image for image, _ in busy[:6]]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(processor.lock, photos))
    assert all(np.array_equal(locked, processor.lock(photo)) for locked, photo in zip(together, photos, strict=True))
    assert detector("network") is detector("network")
