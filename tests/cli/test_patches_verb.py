"""The verb ``patches``: its pictures, its output and its errors."""

import pytest
import typer
from PIL import Image, ImageDraw
from typer.testing import CliRunner

from kaleidobert.cli.patches import patches
from kaleidobert.errors import InputError
from kaleidobert.vision.saliency.detectors import DETECTORS

app = typer.Typer()
app.command()(patches)


@pytest.fixture
def photo(tmp_path):
    image = Image.new("RGB", (60, 80), "white")
    ImageDraw.Draw(image).ellipse((10, 20, 49, 69), fill="navy")
    image.save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def refusal(*arguments):
    """The one line of an `InputError`, which `main` prints."""
    result = run(*arguments)
    assert isinstance(result.exception, InputError), result.output
    message = str(result.exception)
    assert "\n" not in message
    return message


def test_it_creates_missing_folders(photo, tmp_path):
    out = tmp_path / "new" / "folder" / "grid.png"
    result = run(photo, "--out", out, "--other", photo)
    assert result.exit_code == 0 and result.output.strip() == f"55 patches drawn in {out}"
    assert Image.open(out).format == "PNG" and Image.open(out).width > 1500


@pytest.mark.parametrize(
    ("options", "count"),
    [(["--levels", "3"], 9), (["--levels", "1, 6"], 37), (["--saliency", "none", "--levels", "2"], 4)],
)
def test_any_set_of_levels(photo, tmp_path, options, count):
    result = run(photo, "--out", tmp_path / "grid.jpg", "--size", 48, *options)
    assert result.output.startswith(f"{count} patches drawn")


def test_aspect_and_seed_change_the_picture(photo, tmp_path):
    out = tmp_path / "grid.png"

    def pixels(*options):
        assert run(photo, "--out", out, "--size", 48, *options).exit_code == 0
        return Image.open(out).tobytes()

    assert pixels() == pixels("--keep-aspect")
    assert pixels() != pixels("--stretch")
    assert pixels() != pixels("--seed", 1)


def test_a_photo_without_a_product_is_reported_and_used_whole(tmp_path):
    Image.new("RGB", (60, 80), "white").save(tmp_path / "empty.png")
    result = run(tmp_path / "empty.png", "--out", tmp_path / "grid.png")
    first, second = result.output.strip().splitlines()
    assert "empty.png: no product" in first and "whole photo" in first
    assert second.startswith("55 patches")


def test_a_transparent_png_is_laid_on_white(photo, tmp_path):
    image = Image.new("RGBA", (60, 80), (0, 0, 0, 0))
    ImageDraw.Draw(image).ellipse((10, 20, 49, 69), fill="navy")
    image.save(tmp_path / "clear.png")
    pictures = []
    for path in (photo, tmp_path / "clear.png"):
        run(path, "--out", tmp_path / "grid.png", "--levels", 1, "--size", 48)
        pictures.append(Image.open(tmp_path / "grid.png").tobytes())
    assert pictures[0] == pictures[1]


@pytest.mark.parametrize("levels", ["0", "1,,2", "", "2,2", "1;2", "17", "-1", "1.5", "two"])
def test_bad_levels_are_named(photo, tmp_path, levels):
    message = refusal(photo, f"--levels={levels}", "--out", tmp_path / "grid.png")
    assert f"--levels {levels}:" in message and "1 to 16" in message


def test_bad_images_are_named(photo, tmp_path):
    out = tmp_path / "grid.png"
    (tmp_path / "text.jpg").write_text("no image")
    (tmp_path / "cut.png").write_bytes(photo.read_bytes()[:60])
    for name in ("absent.jpg", "text.jpg", "cut.png", "."):
        assert str(tmp_path / name) in refusal(tmp_path / name, "--out", out)
        assert str(tmp_path / name) in refusal(photo, "--other", tmp_path / name, "--out", out)
    assert not out.exists()


def test_bad_paths_and_detectors_are_named(photo, tmp_path):
    assert "'.txt'" in refusal(photo, "--out", tmp_path / "grid.txt")
    assert "write a .png" in refusal(photo, "--out", tmp_path / "grid")
    assert "cannot be written" in refusal(photo, "--out", photo / "grid.png")
    (tmp_path / "folder.png").mkdir()
    assert "cannot be written" in refusal(photo, "--out", tmp_path / "folder.png")
    assert "egnet" in refusal(photo, "--out", tmp_path / "grid.png", "--saliency", "egnet")


def test_help_has_an_example_and_every_detector():
    page = " ".join(run("--help").output.replace("│", " ").split())
    assert "Example: kaleidobert patches" in page
    assert all(name in page for name in DETECTORS)
