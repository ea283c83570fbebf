"""Training the saliency network: it learns, is reproducible, and names the files that it cannot read."""

import io
import re

import numpy as np
import pytest
import torch
from PIL import Image

from kaleidobert.errors import InputError
from kaleidobert.synthetic.composites import composites, write_composites
from kaleidobert.training.time_budget import TimeBudget
from kaleidobert.training.train_saliency import augmented, fit, initial_network, mean_iou, read_pairs, train_saliency
from kaleidobert.vision.saliency.detectors import detector
from kaleidobert.vision.saliency.network import saliency_loss


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("pairs")
    write_composites(place, 8, seed=3)
    return place


def test_composites_depend_on_seed_and_index_alone(folder):
    photos = list(composites(3, seed=3))
    for index, (image, mask) in enumerate(photos):
        assert image.size == mask.size and max(image.size) == 160
        with Image.open(folder / "masks" / f"{index:06d}.png") as written:
            assert written.tobytes() == mask.tobytes()
        share = np.asarray(mask).mean() / 255
        assert 0.005 < share < 0.99
    other = next(composites(1, seed=4))[0]
    assert other.tobytes() != photos[0][0].tobytes()


def test_corners_are_busier_on_busy_backgrounds():
    def contrast(busy):
        corners = [np.asarray(image, np.float32)[:16, :16] for image, _ in composites(10, 5, busy, longest=96)]
        return np.mean([np.abs(np.diff(corner, axis=1)).mean() for corner in corners])

    assert contrast(1.0) > 2 * contrast(0.0)


def test_the_network_overfits_eight_photos(folder):
    pairs = read_pairs([folder], 64)
    batch = torch.from_numpy(pairs).permute(0, 3, 1, 2).float() / 255
    torch.manual_seed(0)
    network = initial_network("imagenet")
    before = mean_iou(network.eval(), pairs)
    optimizer = torch.optim.AdamW(network.train().parameters(), 3e-3)
    network.encoder.eval()
    for _ in range(60):
        loss = sum(saliency_loss(network(batch[:, :3]), batch[:, 3]).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert before < 0.5 and mean_iou(network, pairs) > 0.85


def test_losses_fall_with_augmentation_and_the_encoder_learns_slowly_with_its_statistics(folder):
    pairs = np.repeat(read_pairs([folder], 64), 2, axis=0)
    torch.manual_seed(0)
    network = initial_network("imagenet")
    before = {name: value.clone() for name, value in network.state_dict().items()}
    losses = list(fit(network, pairs, TimeBudget(None), 45, 16, 3e-3, np.random.default_rng(0)))
    assert len(losses) == 45
    for name in ("mask", "iou", "edges"):
        assert np.mean([step[name] for step in losses[-5:]]) < 0.9 * losses[0][name]
    for name, value in network.state_dict().items():
        if name.startswith("encoder."):
            moved = (value - before[name]).abs().max()
            assert moved == 0 if "running" in name or "num_batches" in name else 0 < moved < 45 * 4e-4, name


def test_a_mask_is_augmented_like_its_photo(folder):
    pairs = torch.from_numpy(read_pairs([folder], 64))
    pairs[..., :3] = pairs[..., 3:]  # each photo is its own mask
    batch = augmented(pairs, torch.Generator().manual_seed(1))
    assert batch.shape == (8, 4, 64, 64) and batch.min() >= 0 and batch.max() <= 1
    assert (batch[:, 3] - pairs[..., 3] / 255).abs().mean() > 0.05
    assert ((batch[:, :3].mean(1) > 0.5) == (batch[:, 3] > 0.5)).float().mean() > 0.97


def test_a_run_is_reproducible_and_its_file_is_a_detector(folder, tmp_path):
    lines: list[str] = []
    outs = [tmp_path / f"{name}.safetensors" for name in "ab"]
    figures = [train_saliency([folder], out, epochs=1, batch_size=4, side=64, report=lines.append) for out in outs]
    assert outs[0].read_bytes() == outs[1].read_bytes()
    assert figures[0]["mask_iou"] == figures[1]["mask_iou"] and figures[0]["pairs"] == 8
    assert lines and all(re.match(r"\d+% · \d+\.\d min, \d+\.\d left · ", line) for line in lines)
    assert "100%" in lines[-1]
    assert detector(str(outs[0]))(Image.new("RGB", (40, 30))).shape == (30, 40)


def test_max_minutes_ends_a_run(folder, tmp_path):
    figures = train_saliency([folder], tmp_path / "short.safetensors", 10_000, 0.01, side=64, report=lambda _: None)
    assert figures["minutes"] < 0.5


def picture(path, mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, (20, 20)).save(path)


def test_bad_pairs_are_named(tmp_path, capsys):
    out = tmp_path / "weights.safetensors"

    def refusal(*folders, out=out):
        with pytest.raises(InputError) as caught:
            train_saliency(folders, out)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "no folder images/" in refusal(tmp_path / "absent")
    picture(tmp_path / "images" / "a.jpg")
    assert "no folder masks/" in refusal(tmp_path)
    picture(tmp_path / "masks" / "b.png", "L")
    assert "a.jpg: no file of this name in masks/" in refusal(tmp_path)
    picture(tmp_path / "masks" / "a.png", "L")
    assert "1 pairs are too few" in refusal(tmp_path)
    assert ".safetensors" in refusal(tmp_path, out=tmp_path / "weights.bin")
    for index in range(30):
        picture(tmp_path / "images" / f"{index}.jpg")
        picture(tmp_path / "masks" / f"{index}.png", "L")
    (tmp_path / "masks" / "7.png").write_bytes(io.BytesIO(b"no image").getvalue())
    assert len(read_pairs([tmp_path], 16)) == 30
    assert "7.jpg" in capsys.readouterr().out  # one of 31 is left out, with a warning
