"""Peak memory of preparing, training and indexing, at several sizes of a catalogue.

python benchmarks/memory.py --products 10000,100000 --json memory.json

A catalogue is drawn products again and again under other ids and titles. Each command runs in processes of its own,
training for the same number of steps, with a tiny model, so that what grows with the catalogue is not hidden behind
what does not. Memory is what all processes of a command hold and cannot drop (RssAnon of /proc, Linux alone): pages of
mapped files can be dropped. ``growth`` is the peak at the largest size by that at the smallest.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from common import TINY, write_json
from kaleidobert.benchmark.drawn import some_products
from kaleidobert.data.product import Product
from kaleidobert.synthetic.catalogue import ROW_GROUP, SCHEMA, row_of

STEPS, BATCH, VALIDATED = 40, 16, 64
INTERVAL = 0.1  # seconds between two looks at the memory
PREPARE = """
import sys
from kaleidobert.model import KaleidoBertImageProcessor
from kaleidobert.training.dataset import prepare
prepare(sys.argv[1], "train", KaleidoBertImageProcessor(64))
"""


def main(given: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--products", default="10000,100000", help="the sizes, ascending")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args(given)

    sizes = [int(size) for size in arguments.products.split(",")]
    figures: dict[str, dict] = {}
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            for name, peak in measured(Path(folder), size).items():
                figures.setdefault(name, {})[str(size)] = round(peak)
    for peaks in figures.values():
        peaks["growth"] = round(peaks[str(sizes[-1])] / peaks[str(sizes[0])], 3)
    show(figures)
    write_json({"megabytes": figures}, arguments.json)


def measured(folder: Path, size: int) -> dict[str, float]:
    """The peak in megabytes of each command on a catalogue of this many products."""
    data, run, preset = folder / "catalogue", folder / "run", folder / "tiny.yaml"
    preset.write_text(TINY)
    write(data / "train.parquet", size)
    write(data / "validation.parquet", VALIDATED, first=size)
    program = [sys.executable, "-m", "kaleidobert"]
    training = ["--preset", str(preset), "--set", f"training.epochs={STEPS * BATCH / size}"]
    commands = {
        "preparing": [sys.executable, "-c", PREPARE, str(data)],
        "training and fitting": [*program, "pretrain", str(data), "--out", str(run), *training],
        "indexing": [*program, "index", str(data), "--model", str(run), "--store", str(folder / "shop.store")],
    }
    environment = os.environ | {"KALEIDOBERT_CACHE": str(folder / "cache")}
    return {name: peak_of(line, environment, folder / "log") for name, line in commands.items()}


def write(path: Path, size: int, first: int = 0) -> None:
    """Write ``size`` products, whose ids are numbers from ``first`` on."""
    path.parent.mkdir(exist_ok=True)
    products = some_products(None, min(size, ROW_GROUP))
    with pq.ParquetWriter(path, SCHEMA) as file:
        for start in range(0, size, ROW_GROUP):
            rows = [numbered(each, first + start + place) for place, each in enumerate(products[: size - start])]
            file.write_table(pa.Table.from_pylist([row_of(each) for each in rows], SCHEMA))


def numbered(product: Product, number: int) -> Product:
    return replace(product, id=str(number), title=f"{product.title} {number}")


def peak_of(line: Sequence[str], environment: dict[str, str], log: Path) -> float:
    """Megabytes that a command and the processes that it started hold at most; stops here where it fails."""
    with log.open("w") as output:
        process = subprocess.Popen(line, stdout=output, stderr=output, env=environment)
    peak, family = 0.0, psutil.Process(process.pid)
    while process.poll() is None:
        try:
            peak = max(peak, sum(map(held, [family, *family.children(recursive=True)])))
        except psutil.NoSuchProcess:  # it ended meanwhile
            pass
        time.sleep(INTERVAL)
    if process.returncode:
        raise SystemExit(f"{' '.join(line)} failed: {log.read_text()[-2000:]}")
    return peak


def held(process: psutil.Process) -> float:
    """Megabytes of a process; 0 if it has ended."""
    try:
        found = re.search(r"RssAnon:\s+(\d+) kB", Path(f"/proc/{process.pid}/status").read_text())
    except OSError:
        return 0.0
    return int(found[1]) / 1000 if found else 0.0


def show(figures: dict[str, dict]) -> None:
    table = Table("megabytes", title="peak memory, by products in the catalogue")
    for name in next(iter(figures.values())):
        table.add_column(name, justify="right")
    for command, peaks in figures.items():
        table.add_row(command, *(f"{value:,}" for value in peaks.values()))
    Console().print(table)


if __name__ == "__main__":
    main()
