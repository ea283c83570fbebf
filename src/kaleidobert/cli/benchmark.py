"""`kaleidobert benchmark`, with a command for each thing whose speed is measured."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kaleidobert.cli.options import PRESETS, JsonFile
from kaleidobert.cli.output import check_files
from kaleidobert.errors import InputError

benchmark = typer.Typer(
    name="benchmark", help="Measure speed here: each figure beside a peer in the same rounds, and its limit."
)

Preset = Annotated[str, typer.Option(help=f"The sizes of the model: {PRESETS}, or a YAML file.")]
Set = Annotated[list[str] | None, typer.Option(help="Override a setting of the preset: key=value.")]
Rounds = Annotated[int, typer.Option(min=1, help="Rounds to take medians of; one more is not counted.")]
Data = Annotated[str | None, typer.Option(help="A catalogue to measure with; by default, drawn products.")]


@benchmark.command()
def patches(
    preset: Preset = "small",
    photos: Annotated[int, typer.Option(min=1, help="Photos to prepare in each round.")] = 1000,
    batch: Annotated[int, typer.Option(min=1, help="Photos whose patches are encoded at once.")] = 8,
    processes: Annotated[str, typer.Option(help="Numbers of processes that are compared with one.")] = "2",
    rounds: Rounds = 5,
    data: Data = None,
    set: Set = None,
    json: JsonFile = None,
) -> None:
    """Patch features of one backbone pass against crops and a plain pass; preparing photos by several processes.

    Example: kaleidobert benchmark patches --processes 2,16 --json patches.json
    """
    from kaleidobert.benchmark.patches import benchmark_patches
    from kaleidobert.cli.figures import print_benchmark, write_figures
    from kaleidobert.training.settings import load_settings

    check_files(json)
    settings = load_settings(preset, set or [])
    figures = benchmark_patches(settings, photos, batch, _numbers(processes, "--processes"), rounds, data)
    print_benchmark(f"patches, {preset}", figures)
    write_figures(figures, json)


@benchmark.command()
def training(
    preset: Preset = "small",
    encode: Annotated[int, typer.Option(min=1, help="Products to encode in each round.")] = 512,
    rounds: Rounds = 5,
    data: Data = None,
    set: Set = None,
    json: JsonFile = None,
) -> None:
    """A training step against its matrix products alone and a ViLT of equal sizes; encoding a catalogue.

    Example: kaleidobert benchmark training --preset small --set training.batch_size=64
    """
    from kaleidobert.benchmark.training import benchmark_training
    from kaleidobert.cli.figures import print_benchmark, write_figures
    from kaleidobert.training.settings import load_settings

    check_files(json)
    figures = benchmark_training(load_settings(preset, set or []), encode, rounds, data)
    print_benchmark(f"training, {preset}, batches of {figures['batch']}", figures)
    write_figures(figures, json)


@benchmark.command()
def search(
    store: Annotated[
        str | None, typer.Option(help="The store to search in; by default, one of drawn products is made.")
    ] = None,
    preset: Preset = "small",
    products: Annotated[int, typer.Option(min=2, help="Products of the store that is made.")] = 20_000,
    queries: Annotated[int, typer.Option(min=1, help="Titles to search for, at most.")] = 200,
    rerank: Annotated[int, typer.Option(min=1, help="Candidates that the joint model scores.")] = 20,
    data: Data = None,
    set: Set = None,
    json: JsonFile = None,
) -> None:
    """A search's stages, 50th and 95th percentile, each against what it computes alone.

    Example: kaleidobert benchmark search --products 100000 --json search.json

    Example: kaleidobert benchmark search --store shop.store
    """
    from tempfile import TemporaryDirectory

    from kaleidobert.benchmark.search import benchmark_search
    from kaleidobert.benchmark.store import drawn_store
    from kaleidobert.cli.figures import print_benchmark, write_figures
    from kaleidobert.training.settings import load_settings

    check_files(json)
    with TemporaryDirectory() as folder:
        uri = store or drawn_store(load_settings(preset, set or []), Path(folder), products, data)
        figures = benchmark_search(uri, queries, rerank)
    print_benchmark(f"search, {figures['rows_in_store']:,} rows", figures)
    write_figures(figures, json)


def _numbers(text: str, option: str) -> list[int]:
    numbers = [int(part) if part.strip().isdecimal() else 0 for part in text.split(",")]
    if min(numbers) < 1:
        raise InputError(f"{option} {text}: write numbers of 1 or more with commas, for example 2,16")
    return numbers
