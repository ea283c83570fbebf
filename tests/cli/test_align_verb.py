"""The verb ``align``, and ``patches`` with words: files, output and errors."""

import json
import re

import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from kaleidobert.alignment.pair_store import Alignment
from kaleidobert.cli.align import align
from kaleidobert.cli.patches import patches
from kaleidobert.errors import InputError

app = typer.Typer()
app.command()(align)
app.command()(patches)

BACKBONE = "{layer_type: basic, embedding_size: 8, hidden_sizes: [16, 16], depths: [1, 1], out_features: [stage2]}"
TINY = ("captioner.hidden_size=24", "vocabulary=120", "batch_size=16", "epochs=1", "least_lift=0", "bf16=false")


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def refusal(*arguments):
    result = run(*arguments)
    assert isinstance(result.exception, InputError), result.output
    assert "\n" not in str(result.exception)
    return str(result.exception)


@pytest.fixture(scope="module")
def folder(shapes, tmp_path_factory):
    out = tmp_path_factory.mktemp("verb") / "align"
    settings = [part for each in (*TINY, f"captioner.backbone_config={BACKBONE}") for part in ("--set", each)]
    result = run("align", shapes, "--out", out, *settings, "--json", out.parent / "figures.json")
    assert result.exit_code == 0, result.output
    (out / "printed.txt").write_text(result.output)
    return out


def test_align_prints_and_writes_its_counts(folder):
    figures = json.loads((folder.parent / "figures.json").read_text())
    printed = (folder / "printed.txt").read_text()
    assert figures["product_share"] == figures["word_share"] == 100
    assert f"{figures['pairs']:,} pairs" in printed and "140 of 140 products" in printed and "pretrain" in printed


def test_align_warns_in_one_line_if_it_found_no_pairs(folder, shapes, tmp_path):
    for path in folder.iterdir():
        if path.is_file():
            (tmp_path / path.name).write_bytes(path.read_bytes())
    result = run("align", shapes, "--out", tmp_path, "--set", "least_lift=1000")
    assert result.exit_code == 0 and result.stdout == ""
    *_, warning = result.stderr.splitlines()
    assert warning.startswith(f"warning: no pairs in {tmp_path}") and "--set least_lift=" in warning
    assert "--max-minutes" in warning and len(Alignment.load(tmp_path)) == 0


@pytest.fixture
def photo(drawn_products, tmp_path):
    (tmp_path / "photo.png").write_bytes(drawn_products(1, 3)[0]["images"][0])
    return tmp_path / "photo.png"


@pytest.mark.parametrize("source", ["teacher", "caption"])
def test_patches_draws_the_words(folder, photo, tmp_path, source):
    out = tmp_path / "words.png"
    result = run("patches", photo, "--out", out, "--text", "red circle", "--align", folder, "--source", source)
    assert re.fullmatch(rf"\d of 2 words have patches; drawn in {re.escape(str(out))}", result.output.strip())
    words = int(result.output[0])
    assert source == "caption" or words == 2
    assert Image.open(out).width == 2 * 28 + (1 + words) * 300 - 20


def test_patches_refuses_words_without_an_alignment(folder, photo, tmp_path):
    out = tmp_path / "words.png"
    assert "go together" in refusal("patches", photo, "--out", out, "--text", "red circle")
    assert "go together" in refusal("patches", photo, "--out", out, "--align", folder)
    assert "no captioner" in refusal("patches", photo, "--out", out, "--text", "red", "--align", tmp_path)
    assert "no word" in refusal("patches", photo, "--out", out, "--text", "with the 2", "--align", folder)
    assert "'.txt'" in refusal("patches", photo, "--out", tmp_path / "a.txt", "--text", "red", "--align", folder)
    assert not out.exists()


def test_align_refuses_bad_settings(shapes, tmp_path):
    assert "--set speed" in refusal("align", shapes, "--out", tmp_path / "a", "--set", "speed=3")
    assert "no preset" in refusal("align", shapes, "--out", tmp_path / "a", "--preset", "huge")
    assert "teacher" in run("align", shapes, "--out", tmp_path / "a", "--source", "human").output
    assert not (tmp_path / "a").exists()


def test_help_has_examples():
    for verb in ("align", "patches"):
        page = " ".join(run(verb, "--help").output.replace("│", " ").split())
        assert f"Example: kaleidobert {verb}" in page
