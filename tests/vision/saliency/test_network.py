"""The network's shapes, its edge targets and losses, its file, and what the shipped weights can do."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from kaleidobert.errors import InputError
from kaleidobert.model.processing import KaleidoBertImageProcessor
from kaleidobert.synthetic.composites import composites
from kaleidobert.vision.saliency.border_colour import border_colour, detector, locked_box, network
from kaleidobert.vision.saliency.network import (
    SHIPPED,
    NetworkDetector,
    SaliencyNetwork,
    SaliencyOutput,
    edge_targets,
    saliency_loss,
    save_network,
)


def iou(found, true):
    a, b = found > 0.5, np.asarray(true) > 127
    return (a & b).sum() / (a | b).sum()


@pytest.fixture(scope="module")
def busy():
    return list(composites(20, seed=11, busy=1.0))


def test_shapes_and_size():
    output = SaliencyNetwork()(torch.rand(2, 3, 64, 64))
    assert output.mask.shape == (2, 64, 64) and output.edges.shape == (2, 32, 32)
    assert 1e6 < sum(weight.numel() for weight in SaliencyNetwork().parameters()) < 2e6


def test_edges_are_the_border_cells_of_a_mask_but_not_the_photo_s_edge():
    mask = torch.zeros(1, 16, 16)
    mask[:, 4:16, 4:12] = 1  # cut by the lower edge
    expected = torch.zeros(8, 8)
    expected[1:, 1:7] = 1  # one cell to either side of the border ...
    expected[3:, 3:5] = 0  # ... but not further in
    assert torch.equal(edge_targets(mask)[0], expected)
    assert not edge_targets(torch.ones(1, 8, 8)).any() and not edge_targets(torch.zeros(1, 8, 8)).any()


def test_the_edge_loss_weighs_border_and_rest_alike():
    mask = torch.zeros(1, 32, 32)
    mask[:, 8:24, 8:24] = 1
    edges = edge_targets(mask)
    none, everywhere = torch.full((1, 16, 16), -4.0), torch.full((1, 16, 16), 4.0)
    losses = [saliency_loss(SaliencyOutput(mask, guess), mask)["edges"] for guess in (none, everywhere)]
    assert edges.mean() < 0.4
    torch.testing.assert_close(losses[0], losses[1])


def test_a_right_mask_has_no_loss_and_an_empty_one_no_nan():
    mask = torch.zeros(2, 32, 32)
    mask[0, 8:24, 8:24] = 1
    right = SaliencyOutput(200 * (mask - 0.5), 200 * (edge_targets(mask) - 0.5))
    assert all(part < 1e-4 for part in saliency_loss(right, mask).values())
    wrong = saliency_loss(SaliencyOutput(-right.mask, -right.edges), mask)
    assert all(part > 0.4 for part in wrong.values())


def test_every_part_learns():
    network = SaliencyNetwork((4, 6, 8, 10), 4)
    parts = saliency_loss(network(torch.rand(2, 3, 32, 32)), (torch.rand(2, 32, 32) > 0.5).float())
    parts["edges"].backward(retain_graph=True)
    assert network.edge_head.weight.grad is not None and network.mask_head[1].weight.grad is None
    parts["mask"].backward()
    assert all(weight.grad is not None for weight in network.parameters())
    assert network.edge_features[0].weight.grad.abs().sum() > 0  # the edge branch guides the mask head


def test_a_file_holds_all_that_it_takes(tmp_path):
    network = SaliencyNetwork((4, 6, 8, 10), 4)
    save_network(network, tmp_path / "new" / "small.safetensors", side=32)
    kept = NetworkDetector.load(tmp_path / "new" / "small.safetensors")
    assert kept.side == 32
    for name, value in kept.network.state_dict().items():
        torch.testing.assert_close(value, network.state_dict()[name], atol=1e-3, rtol=1e-3)
    mask = detector(str(tmp_path / "new" / "small.safetensors"))(Image.new("RGB", (50, 30)))
    assert mask.shape == (30, 50) and 0 <= mask.min() and mask.max() <= 1


def test_files_that_are_no_weights_are_named(tmp_path):
    (tmp_path / "text.safetensors").write_text("nothing")
    save_file({"x": torch.zeros(1)}, tmp_path / "other.safetensors")
    for name, reason in (("text", "not a readable"), ("other", "no weights of a saliency network")):
        with pytest.raises(InputError, match=f"{name}.safetensors: {reason}") as caught:
            detector(str(tmp_path / f"{name}.safetensors"))
        assert "\n" not in str(caught.value)


def test_the_shipped_weights_beat_the_border_colour_on_busy_backgrounds(busy):
    assert SHIPPED.stat().st_size < 4e6
    learned = np.mean([iou(network(image), mask) for image, mask in busy])
    by_colour = np.mean([iou(border_colour(image), mask) for image, mask in busy])
    assert learned > 0.85 and learned > by_colour + 0.2


def test_the_shipped_weights_on_a_plain_studio_shot_and_on_nothing():
    image = Image.new("RGB", (90, 120), "white")
    image.paste((40, 60, 120), (25, 30, 65, 95))
    (x1, y1, x2, y2), found = locked_box(network(image))
    assert found and abs(x1 - 25) < 8 and abs(y1 - 30) < 8 and abs(x2 - 65) < 8 and abs(y2 - 95) < 8
    empty = Image.new("RGB", (90, 120), "white")
    assert locked_box(network(empty)) == ((0, 0, 90, 120), False)


def test_a_processor_with_the_network_travels_and_works_in_threads(busy):
    processor = pickle.loads(pickle.dumps(KaleidoBertImageProcessor(32, "network")))
    photos = [image for image, _ in busy[:6]]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(processor.lock, photos))
    assert all(np.array_equal(locked, processor.lock(photo)) for locked, photo in zip(together, photos, strict=True))
    assert detector("network") is detector("network")
