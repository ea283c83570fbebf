"""The program `kaleidobert`: one file for each verb; heavy imports are inside the verbs, so that `--help` is fast."""

from __future__ import annotations

import os
import sys

import typer

from kaleidobert.cli.align import align
from kaleidobert.cli.demo import demo
from kaleidobert.cli.describe import describe
from kaleidobert.cli.evaluate import evaluate
from kaleidobert.cli.features import features
from kaleidobert.cli.finetune import finetune
from kaleidobert.cli.fit_ranker import fit_ranker
from kaleidobert.cli.index import index
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
from kaleidobert.cli.synthesize import synthesize
from kaleidobert.errors import InputError

app = typer.Typer(
    help="Fine-grained fashion vision-language pre-training, retrieval and product search.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for verb in (
    demo,
    synthesize,
    patches,
    saliency,
    align,
    features,
    pretrain,
    finetune,
    evaluate,
    fit_ranker,
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


def main() -> None:
    """Run a verb; an ``InputError`` is printed as one line on standard error, with exit code 2."""
    if os.environ.get("RANK", "0") != "0":
        sys.stdout = open(os.devnull, "w")  # of torchrun's processes only the first prints
    try:
        app()
    except InputError as error:
        print(f"kaleidobert: {error}", file=sys.stderr)
        sys.exit(2)
