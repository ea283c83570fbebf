"""The verb ``saliency``: synthetic photos, training, and a detector from the weights."""

import json

import typer
from PIL import Image
from typer.testing import CliRunner

from kaleidobert.cli.patches import patches
from kaleidobert.cli.saliency import saliency
from kaleidobert.errors import InputError

app = typer.Typer()
app.command()(saliency)
app.command()(patches)


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_it_trains_on_synthetic_photos_and_its_weights_are_a_detector(tmp_path):
    out, figures = tmp_path / "net.safetensors", tmp_path / "figures.json"
    options = ("--synthetic", 4, "--epochs", 1, "--batch-size", 2, "--side", 64, "--json", figures)
    result = run("saliency", tmp_path / "pairs", "--out", out, *options)
    assert result.exit_code == 0, result.output
    assert len(list((tmp_path / "pairs" / "images").iterdir())) == 4
    assert {"mask", "iou", "edges", "mask_iou", "pairs"} <= set(json.loads(figures.read_text()))
    Image.new("RGB", (60, 80), "white").save(tmp_path / "photo.png")
    drawn = run("patches", tmp_path / "photo.png", "--out", tmp_path / "grid.png", "--saliency", out)
    assert drawn.exit_code == 0 and (tmp_path / "grid.png").exists()


def test_a_bad_folder_is_one_line(tmp_path):
    result = run("saliency", tmp_path / "absent", "--out", tmp_path / "net.safetensors")
    assert isinstance(result.exception, InputError) and "absent" in str(result.exception)
    (tmp_path / "file").write_text("")
    result = run("saliency", tmp_path / "file", "--synthetic", 2, "--out", tmp_path / "net.safetensors")
    assert isinstance(result.exception, InputError) and "cannot be written" in str(result.exception)


def test_help_has_an_example():
    page = " ".join(run("saliency", "--help").output.replace("│", " ").split())
    assert "Example: kaleidobert saliency pairs/" in page


def test_sources_without_a_number_of_photos_are_one_line(tmp_path):
    for option in ("--studio", "--surfaces"):
        result = run("saliency", tmp_path, "--out", tmp_path / "net.safetensors", option, tmp_path)
        assert isinstance(result.exception, InputError) and "give --synthetic COUNT" in str(result.exception)


def test_a_side_that_the_network_cannot_halve_is_one_line(tmp_path):
    result = run("saliency", tmp_path, "--out", tmp_path / "net.safetensors", "--side", 100)
    assert isinstance(result.exception, InputError) and "--side 100 is not a multiple of 32" in str(result.exception)
