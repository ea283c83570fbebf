"""`kaleidobert export`."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from kaleidobert.cli.options import Columns, ImageTemplate, JsonFile, MaxBad
from kaleidobert.cli.output import check_files
from kaleidobert.data.problems import MAX_BAD


class Format(str, Enum):
    """What a run can be exported to."""

    onnx = "onnx"


def export(
    run: Annotated[Path, typer.Argument(help="The run folder; its ranking must be fitted.")],
    out: Annotated[Path, typer.Argument(help="The folder to create, for serve --engine onnx --model OUT.")],
    *,
    to: Annotated[Format, typer.Option(help="The format.")] = Format.onnx,  # noqa: ARG001  # there is but one
    data: Annotated[str | None, typer.Option(help="A catalogue on which to measure R@1 before and after.")] = None,
    split: Annotated[str | None, typer.Option(help="The split of --data.", show_default="test")] = None,
    queries: Annotated[int, typer.Option(min=1, help="Products of --data that are searched for.")] = 300,
    int8: Annotated[
        bool, typer.Option("--int8", help="Use 8-bit weights for texts, if that makes them 1.3 times as fast or more.")
    ] = False,
    columns: Columns = None,
    max_bad: MaxBad = MAX_BAD,
    image_template: ImageTemplate = None,
    json: JsonFile = None,
) -> None:
    """Export a run, so that a server can search with it without torch, and report how far the export is from the run.

    Example: kaleidobert export runs/shop shop.onnx --data catalogue/
    """
    from kaleidobert.cli.figures import print_export, write_figures
    from kaleidobert.data.reading import Reading
    from kaleidobert.export.onnx_export import export_run

    check_files(json)
    reading = Reading.load(columns, image_template, max_bad)
    report = export_run(run, out, data, split, queries, reading, int8)
    print_export(report)
    typer.echo(f"try: kaleidobert serve --store STORE --engine onnx --model {out}")
    write_figures(report, json)
