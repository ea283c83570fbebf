"""The program `kaleidobert`: one file for each verb; heavy imports are inside the verbs, so that `--help` is fast."""

from __future__ import annotations

import io
import os
import sys
from importlib.metadata import version
from typing import Annotated

import typer

from kaleidobert.cli.align import align
from kaleidobert.cli.benchmark import benchmark
from kaleidobert.cli.check import check
from kaleidobert.cli.demo import demo
from kaleidobert.cli.describe import describe
from kaleidobert.cli.evaluate import evaluate
from kaleidobert.cli.export import export
from kaleidobert.cli.features import features
from kaleidobert.cli.finetune import finetune
from kaleidobert.cli.fit_ranker import fit_ranker
from kaleidobert.cli.index import index
from kaleidobert.cli.interrupt import end_on_interrupt
from kaleidobert.cli.mcp import mcp
from kaleidobert.cli.migrate import migrate
from kaleidobert.cli.patches import patches
from kaleidobert.cli.pretrain import pretrain
from kaleidobert.cli.push import push
from kaleidobert.cli.report import report
from kaleidobert.cli.rules import rules
from kaleidobert.cli.saliency import saliency
from kaleidobert.cli.search import search
from kaleidobert.cli.serve import serve
from kaleidobert.cli.storage import storage_problem
from kaleidobert.cli.synthesize import synthesize
from kaleidobert.errors import InputError
from kaleidobert.main_process import is_main_process

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for verb in (
    demo,
    synthesize,
    check,
    patches,
    saliency,
    align,
    features,
    pretrain,
    finetune,
    evaluate,
    fit_ranker,
    export,
    index,
    search,
    rules,
    serve,
    mcp,
    describe,
    migrate,
    push,
):
    app.command()(verb)
app.add_typer(report)
app.add_typer(benchmark)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"kaleidobert {version('kaleidobert')}")
        raise typer.Exit


@app.callback()
def program(
    version: Annotated[  # noqa: ARG001  # its callback does it
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Fine-grained fashion vision-language pre-training, retrieval and product search."""


def missing_package(error: Exception) -> str | None:
    """One line about a package that is not installed; None for any other error."""
    name = error.name if isinstance(error, ModuleNotFoundError) else None
    if not name or name.partition(".")[0] == "kaleidobert":
        return None
    return f"this command needs the package {name.partition('.')[0]}; install it with: pip install 'kaleidobert[train]'"


def main() -> None:
    """Run a verb; unusable input, or a full or read-only disk, is one line on standard error, with exit code 2."""
    if not is_main_process():
        sys.stdout = open(os.devnull, "w")  # of torchrun's processes only the first prints
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names of files may hold bytes that are no letters
    try:
        with end_on_interrupt(sys.argv[1:]):
            app()
    except InputError as error:
        reason: str | None = str(error)
    except Exception as error:
        if (reason := storage_problem(error) or missing_package(error)) is None:
            raise
    else:
        return
    print(f"kaleidobert: {reason}", file=sys.stderr)
    sys.exit(2)
