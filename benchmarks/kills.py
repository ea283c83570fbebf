"""Kill every long command with SIGKILL at random moments, and compare what it ends with to a command that was not.

python benchmarks/kills.py --kills 50 --json kills.json

On a drawn catalogue of its own: training, alignment, features, fitting, indexing, and writes to a service. A command is
killed and started again, as its documentation says, until it ends, and then begun anew, until it has been killed often
enough. Its files must be those of the command that was never stopped. Whatever a store held after one kill, or a
service had acknowledged, must be there after the next. The first seconds of a command, in which libraries are loaded,
are spared.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from safetensors.torch import load_file
from transformers import AutoBackbone, ResNetConfig

from common import TINY, write_json
from kaleidobert.data.readers import read_products
from kaleidobert.index.lancedb_store import LanceDBIndex
from kaleidobert.synthetic import write_catalogue
from service import HEADERS, Service

KINDS = ("training", "alignment", "features", "fitting", "indexing", "service")
SERVED_SECONDS = 3.0  # after its start, in which a service is killed
WRITTEN = 20  # products that are written in turn
FROZEN = ("training.freeze_backbone=true", "model.patch_features=crops", "training.augmentation=0")


@dataclass(frozen=True)
class Command:
    """A verb, what follows it, and the option that is given with a path to write to.

    begins: what is written there first. files: those to compare, as patterns; none for a store. again: options where
    the path exists. start: the folder of which the path is a copy at first.
    """

    verb: str
    arguments: Sequence[str]
    out: str
    begins: str
    files: Sequence[str] = ()
    again: Sequence[str] = ()
    start: Path | None = None

    def prepare(self, out: Path) -> Path:
        if self.start:
            shutil.copytree(self.start, out)
        return out

    def run(self, out: Path) -> subprocess.Popen:
        line = [sys.executable, "-m", "kaleidobert", self.verb, *self.arguments, self.out, str(out)]
        environment = os.environ | {"KALEIDOBERT_CACHE": f"{out}.cache"}  # photos are prepared under kills as well
        line += self.again if out.exists() else []
        with Path(f"{out}.log").open("a") as log:
            return subprocess.Popen(line, stdout=log, stderr=log, env=environment)

    def result(self, out: Path) -> str:
        """A digest of all that it wrote."""
        if not self.files:
            return hashlib.sha256(repr(sorted(stored(out))).encode()).hexdigest()
        digest = hashlib.sha256()
        for path in sorted(path for pattern in self.files for path in out.glob(pattern)):
            digest.update(path.name.encode() + contents(path))
        return digest.hexdigest()


def contents(path: Path) -> bytes:
    """What a file says, without the order of its keys, which differs from process to process."""
    if path.suffix == ".json":
        return json.dumps(json.loads(path.read_text()), sort_keys=True).encode()
    if path.suffix == ".safetensors":
        return b"".join(name.encode() + each.numpy().tobytes() for name, each in sorted(load_file(path).items()))
    return path.read_bytes()


def stored(store: Path) -> set[tuple[str, str, bytes]]:
    """Each product of a store with the digest of what it was made of and the vector of its first photo."""
    index = LanceDBIndex.find(str(store), refresh_seconds=0)
    contents = index.contents() if index else {}
    vectors = index.vectors([(each, 0) for each in contents]) if index else {}
    return {(each, content, vectors[each, 0].tobytes()) for each, content in contents.items()}


def still_running(process: subprocess.Popen, seconds: float) -> bool:
    """Whether a process has not ended by itself within this time."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return True
    return False


def ended(process: subprocess.Popen, out: Path) -> None:
    """Wait for a process's end, and stop here with its last words where it failed."""
    if process.wait():
        raise SystemExit(f"{' '.join(process.args)} failed: {Path(f'{out}.log').read_text()[-2000:]}")


def uninterrupted(command: Command, out: Path) -> tuple[float, float]:
    """Run a command to its end; returns the seconds after which it began to write, and ended."""
    command.prepare(out)
    begins, started = out / command.begins, time.perf_counter()
    process = command.run(out)
    while not begins.exists() and process.poll() is None:
        time.sleep(0.01)
    began = time.perf_counter() - started
    ended(process, out)
    return began, time.perf_counter() - started


def kill_command(command: Command, kills: int, folder: Path, rng: random.Random) -> dict[str, Any]:
    """Kill a command so many times; counts its ends, those with another result, and what stores lost."""
    began, seconds = uninterrupted(command, reference := folder / "uninterrupted")
    expected = command.result(reference)
    killed = ends = different = lost = 0
    while killed < kills:
        out, held = command.prepare(folder / f"killed-{ends}"), set()
        process = command.run(out)
        while killed < kills and still_running(process, rng.uniform(began, seconds)):
            process.kill()
            process.wait()
            killed += 1
            if not command.files:
                lost += len(held - (held := stored(out)))
            process = command.run(out)
        ended(process, out)
        ends += 1
        different += command.result(out) != expected
    return {"kills": killed, "ends": ends, "other results": different, "lost": lost, "seconds": round(seconds, 1)}


def kill_service(start: Path, photo: bytes, kills: int, folder: Path, rng: random.Random) -> dict[str, Any]:
    """Kill a service while products are written and removed; counts acknowledged writes, and those that were lost."""
    store = str(shutil.copytree(start, folder / "store"))
    expected: dict[str, str | None] = {}  # id -> the revision that was acknowledged last, None: removed
    writes = lost = 0
    for _ in range(kills):
        service = Service(store)
        threading.Timer(rng.uniform(0, SERVED_SECONDS), service.kill).start()
        pending = ("", None)
        try:
            with httpx.Client(base_url=service.address, headers=HEADERS, timeout=30) as http:
                while True:
                    product_id, revision = f"written-{writes % WRITTEN}", str(writes)
                    remove = bool(expected.get(product_id)) and rng.random() < 0.3
                    pending = (product_id, None if remove else revision)
                    write(http, product_id, pending[1], photo).raise_for_status()
                    expected[product_id] = pending[1]
                    writes += 1
        except httpx.TransportError:
            service.process.wait()
        index = LanceDBIndex.open(store, refresh_seconds=0)
        for product_id, revision in expected.items():
            product = index.product(product_id)
            found = product[0].attributes["revision"] if product else None
            lost += found not in ([revision, pending[1]] if product_id == pending[0] else [revision])
            expected[product_id] = found
    return {"kills": kills, "acknowledged": writes, "lost": lost}


def write(http: httpx.Client, product_id: str, revision: str | None, photo: bytes) -> httpx.Response:
    """Store a product with this revision, or remove it (None)."""
    if revision is None:
        return http.delete(f"/api/products/{product_id}")
    product = {"id": product_id, "title": "red bag", "attributes": {"revision": revision}}
    return http.put("/api/products", json={"products": [product | {"photos": [b64encode(photo).decode()]}]})


def repeat(data: Path, out: Path, copies: int) -> Path:
    """A catalogue file of a split's products, ``copies`` times, so that indexing takes several writes."""
    table = pq.read_table(data)
    place = table.column_names.index("id")
    ids = [pc.binary_join_element_wise(table["id"], str(number), "-") for number in range(copies)]
    pq.write_table(pa.concat_tables([table.set_column(place, "id", each) for each in ids]), out)
    return out


def commands(folder: Path, products: int, copies: int) -> dict[str, Command]:
    """What is killed, on a catalogue that is drawn into ``folder``; all but training needs a run of its own first."""
    data, preset, backbone = folder / "catalogue", folder / "tiny.yaml", folder / "backbone"
    write_catalogue(data, products, seed=0)
    preset.write_text(TINY)
    sizes: dict[str, Any] = {"layer_type": "basic", "embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1]}
    AutoBackbone.from_config(ResNetConfig(**sizes, out_features=["stage2"])).save_pretrained(backbone)
    many = repeat(data / "train.parquet", folder / "many.parquet", copies)
    base, run = [str(data), "--preset", str(preset)], folder / "training" / "uninterrupted"
    frozen = [f"--set={each}" for each in (*FROZEN, f"initial.image={backbone}")]
    few = [f"--set={each}" for each in ("epochs=4", "evaluate_every=10", "batch_size=16", "bf16=false")]
    fitted = ("ranking.json", "memory.safetensors")
    return {
        "training": Command("pretrain", base, "--out", "UNFINISHED", ("model.safetensors", *fitted), ("--resume",)),
        "alignment": Command("align", [*base, *few], "--out", "logs", ("model.safetensors", "pairs.parquet")),
        "features": Command("features", [*base, *frozen], "--out", "train.f16", ("*.f16",)),
        "fitting": Command("fit-ranker", [str(data)], "--model", "UNFINISHED", fitted, start=run),
        "indexing": Command("index", [str(many), "--model", str(run)], "--store", "."),
    }


def main(given: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50, help="of all commands together")
    parser.add_argument("--products", type=int, default=400, help="of the drawn catalogue")
    parser.add_argument("--copies", type=int, default=8, help="of its training products, which are indexed")
    parser.add_argument("--seed", type=int, default=0, help="draws the moments")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args(given)

    os.environ["OMP_NUM_THREADS"] = "1"  # the order of sums, and so the weights, depend on the number of threads
    rng, rows = random.Random(arguments.seed), []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made = commands(folder, arguments.products, arguments.copies)
        photo = next(iter(read_products(str(folder / "catalogue"), "test"))).images[0]
        for place, kind in enumerate(KINDS):
            (own := folder / kind).mkdir()
            kills = (arguments.kills + place) // len(KINDS)
            if kind == "service":
                found = kill_service(folder / "indexing" / "uninterrupted", photo, kills, own, rng)
            else:
                found = kill_command(made[kind], kills, own, rng)
            rows.append({"killed": kind} | found)
            print(rows[-1], flush=True)
    write_json(rows, arguments.json)


if __name__ == "__main__":
    main()
