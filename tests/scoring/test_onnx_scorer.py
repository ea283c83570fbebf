"""The exported model scores as the run does, and searches find the same."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fixtures.shop import Shop, drawn
from kaleidobert.data.problems import Problems
from kaleidobert.errors import InputError
from kaleidobert.index.embedder import Embedder
from kaleidobert.scoring.engine import Engine
from kaleidobert.scoring.loading import load_scorer
from kaleidobert.scoring.protocol import PairScorer, as_numpy

TEXTS = ["red ellipse bag", "bag", "a purple rectangle that nobody has"]
Both = tuple[PairScorer, PairScorer]


@pytest.fixture(scope="module")
def scorers(exported: tuple[Path, Path]) -> Both:
    return load_scorer(exported[0]), load_scorer(exported[1], Engine.onnx)


def photos() -> list[Image.Image]:
    return [Image.open(io.BytesIO(drawn(colour, "ellipse"))) for colour in ("red", "purple", "black")]


def check_same(one: object, other: object) -> None:
    assert isinstance(other, np.ndarray)
    np.testing.assert_allclose(as_numpy(one), other, atol=2e-4)  # type: ignore[arg-type]


def test_embeddings(scorers: Both) -> None:
    run, exported = scorers
    assert (run.fingerprint, run.scale, run.weights) == (exported.fingerprint, exported.scale, exported.weights)
    for method, inputs in (("encode_texts", TEXTS), ("encode_images", photos())):
        for one, other in zip(getattr(run, method)(inputs), getattr(exported, method)(inputs), strict=True):
            check_same(one, other)
    check_same(run.plain_text_embeds(TEXTS), exported.plain_text_embeds(TEXTS))


def test_a_product_recalls_not_itself(scorers: Both) -> None:
    """other3 is one of the memory's products."""
    pixels = np.random.default_rng(0).random((2, 3, 64, 64), dtype=np.float32)
    for products in (["other3", "p01"], ["p00", "p01"]):
        found = (each.encode_pixels(pixels, products) for each in scorers)
        for one, other in zip(*found, strict=True):
            check_same(one, other)


def test_joint_scores(scorers: Both) -> None:
    """Of all terms, for texts of different lengths, one of them twice."""
    run, exported = scorers
    texts, states = run.encode_texts([*TEXTS, TEXTS[0]]), run.encode_images([*photos(), photos()[1]]).patch_states
    ids, mask = texts.input_ids, texts.attention_mask
    scores = exported.joint_scores(ids, mask, states)
    assert np.ptp(scores) > 0.01
    check_same(run.joint_scores(ids, mask, states), scores)
    own = np.array([3, -1, 0, 2])
    check_same(run.joint_scores(ids, mask, states, own=own), exported.joint_scores(ids, mask, states, own=own))
    for one, other in zip(run.project_patches(states), exported.project_patches(as_numpy(states)), strict=True):
        check_same(one, other)


def test_rows_of_a_store(shop: Shop, scorers: Both) -> None:
    """They have the same content hash, so that neither engine embeds again what the other has stored."""

    run, exported = (Embedder(each).embed(shop.products[:3], 2, Problems()) for each in scorers)
    for one, other in zip(run, exported, strict=True):
        assert (one.product, one.view, one.box, one.content) == (other.product, other.view, other.box, other.content)
        assert one.thumbnail == other.thumbnail
        check_same(one.vector, other.vector)
        np.testing.assert_allclose(one.states, other.states, atol=4e-3)  # as float16


def test_the_engine_must_suit_the_folder(exported: tuple[Path, Path], tmp_path: Path) -> None:
    run, onnx = exported
    with pytest.raises(InputError, match="holds an exported model: use it with --engine onnx"):
        load_scorer(onnx)
    with pytest.raises(InputError, match=f"it is a run, which kaleidobert export {run} OUT exports"):
        load_scorer(run, Engine.onnx)
    with pytest.raises(InputError, match="no exported model in .*: it has no export.json"):
        load_scorer(tmp_path, Engine.onnx)


@pytest.mark.parametrize("name", ["export.json", "text.onnx", "caption.onnx", "tokenizer.json", "ranking.json"])
def test_a_damaged_export_is_refused(exported: tuple[Path, Path], tmp_path: Path, name: str) -> None:
    copied = Path(shutil.copytree(exported[1], tmp_path / "copy"))
    for content in (b"half", None):
        (copied / name).unlink() if content is None else (copied / name).write_bytes(content)
        with pytest.raises(InputError, match=name):
            load_scorer(copied, Engine.onnx)


def test_another_version_s_export_is_refused(exported: tuple[Path, Path], tmp_path: Path) -> None:
    copied = Path(shutil.copytree(exported[1], tmp_path / "copy"))
    written = (copied / "export.json").read_text()
    (copied / "export.json").write_text(written.replace('"format": 1', '"format": 99'))
    with pytest.raises(InputError, match="written by another version: export the run again"):
        load_scorer(copied, Engine.onnx)
