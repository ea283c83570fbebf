"""`serve --engine onnx` as a process that cannot import torch and what else is only for training.

Where KALEIDOBERT_SLIM names the Python of an environment without these packages, the process runs there as well.
"""

from __future__ import annotations

import base64
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from fixtures.shop import Shop, drawn
from kaleidobert.search.query import Query
from kaleidobert.search.ranker import Ranker

TOKEN = "correct-horse-battery-staple"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}
TRAINING = ("torch", "transformers", "accelerate", "datasets", "h5py", "matplotlib", "tensorboard", "sklearn", "pandas")
BLOCKED = f"""
import runpy, sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {TRAINING}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Blocked())
sys.argv[0] = "kaleidobert"
runpy.run_module("kaleidobert", run_name="__main__")
"""
SLIM = os.environ.get("KALEIDOBERT_SLIM", "")
NO_SLIM = pytest.mark.skipif(not SLIM, reason="KALEIDOBERT_SLIM names no Python")
PYTHONS = [[sys.executable, "-c", BLOCKED], pytest.param([SLIM, "-m", "kaleidobert"], marks=NO_SLIM)]


@pytest.fixture(params=PYTHONS, ids=["blocked", "slim"])
def python(request: pytest.FixtureRequest) -> list[str]:
    return request.param


@pytest.fixture
def client(python: list[str], new_shop: Shop, exported: tuple[Path, Path]) -> Iterator[httpx.Client]:
    new_shop.indexer().index(new_shop.products[:8])
    command = [
        *python,
        "serve",
        "--store",
        new_shop.uri,
        "--engine",
        "onnx",
        "--model",
        str(exported[1]),
        "--port",
        "0",
    ]
    environment = os.environ | {"KALEIDOBERT_TOKENS": TOKEN}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout
        found = re.search(r"http://[\d.:]+", process.stdout.readline())
        assert found
        with httpx.Client(base_url=found[0], timeout=60) as client:
            yield client
        process.terminate()


def test_the_service_works(client: httpx.Client, new_shop: Shop, exported: tuple[Path, Path]) -> None:
    """It finds by text and by photo what torch finds, explains, stores products and describes photos."""
    photo = base64.b64encode(drawn("purple", "ellipse")).decode()
    run = Ranker.open(new_shop.uri, exported[0])
    found = client.post("/api/search", json={"query": "red bag"}).json()["hits"]
    assert [hit["id"] for hit in found] == [hit.product.id for hit in run.answer(Query("red bag")).hits]
    assert "red ellipse bag" in client.get("/", params={"q": "red bag"}).text
    product = {"id": "new", "title": "purple ellipse bag", "category": "Women", "photos": [photo]}
    assert client.put("/api/products", json={"products": [product]}, headers=HEADERS).json()["stored"] == ["new"]
    alike = client.post("/api/search", json={"photo": photo}).json()["hits"]
    assert alike[0]["title"] == "purple ellipse bag"
    assert [word["word"] for word in client.get("/api/products/new/why", params={"q": "purple bag"}).json()["why"]]
    described = client.post("/api/describe", json={"photo": photo}).json()
    assert described["title"] == "purple ellipse bag" and set(described["sources"].values()) == {"catalogue"}


@pytest.mark.parametrize(
    "arguments",
    [["serve", "--store", "S"], ["serve", "--store", "S", "--engine", "onnx", "--describe", "R"], ["pretrain", "D"]],
    ids=["engine torch", "describe", "pretrain"],
)
def test_what_needs_torch_says_so(
    python: list[str], shop: Shop, exported: tuple[Path, Path], tmp_path: Path, arguments: list[str]
) -> None:
    given = {"S": shop.uri, "R": str(exported[0]), "D": str(tmp_path)}
    command = [*python, *(given.get(each, each) for each in arguments)]
    command += ["--out", str(tmp_path / "out")] if "pretrain" in arguments else ["--port", "0"]
    command += ["--model", str(exported[1])] if "onnx" in arguments else []
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    needed = r"kaleidobert: .* needs the package \w+; install it with: pip install 'kaleidobert\[train\]'\n"
    assert re.fullmatch(needed, done.stderr)
