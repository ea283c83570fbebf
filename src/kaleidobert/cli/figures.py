"""What verbs share in showing figures."""

from __future__ import annotations

import os
from json import dumps
from pathlib import Path

ROWS = {
    "vectors": "vectors",
    "joint": "joint",
    "combined": "combined",
    "vectors_memory": "vectors + memory",
    "joint_memory": "joint + memory",
    "combined_memory": "combined + memory",
}


def write_figures(figures: dict, path: Path | None) -> None:
    """Write figures as JSON where a path is given; of several processes that torchrun started the first one does."""
    if path and os.environ.get("RANK", "0") == "0":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dumps(figures, indent=2) + "\n")


def print_recognition(figures: dict) -> None:
    """The four figures in one row, and in words what they leave out or cannot be."""
    from rich.console import Console
    from rich.table import Table

    task, split, products = (figures[name] for name in ("task", "split", "products"))
    read = {"both": "photo and text", "image": "the photo", "text": "the text"}[figures["inputs"]]
    title = f"{task} from {read}, {products:,} products of {split}, {figures['classes']} classes trained"
    table = Table(title=title)
    names = ("accuracy", "micro_f1", "macro_f1", "SumCLS")
    for name in names:
        table.add_column(name, justify="right")
    table.add_row(*(f"{figures[name]:.1f}" for name in names))
    console = Console()
    console.print(table)
    if figures["products_without_label"]:
        console.print(f"{figures['products_without_label']:,} products without a {task} are left out")
    if figures["classes_never_trained"]:
        count, wrong = figures["classes_never_trained"], figures["products_never_trained"]
        console.print(f"{count} classes were never trained; their {wrong:,} products count as wrong")


def print_captioning(figures: dict) -> None:
    """Each metric and their sum in one row, and in words which were not computed, and why."""
    from rich.console import Console
    from rich.table import Table

    title = f"captions of {figures['products']:,} products of {figures['split']}, {figures['beams']} beams"
    table, values = Table(title=title), []
    for name in ("BLEU-4", "METEOR", "ROUGE-L", "CIDEr", "SPICE", "SumCAP"):
        table.add_column(name, justify="right")
        values.append("-" if figures[name] is None else f"{figures[name]:.1f}")
    table.add_row(*values)
    console = Console()
    console.print(table)
    if figures["products_without_text"]:
        console.print(f"{figures['products_without_text']:,} products without a text are left out")
    for name, reason in figures["not_computed"].items():
        console.print(f"{name} is not computed: {reason}", markup=False)


def print_retrieval(figures: dict) -> None:
    """The retrieval table: one row a scorer, both directions."""
    from rich.console import Console
    from rich.table import Table

    title = f"Retrieval, protocol {figures['protocol']}, {figures['queries']:,} queries of {figures['split']}"
    spread = figures.get("spread")
    title += f", mean of {figures['draws']} draws ± their standard deviation" if spread else ""
    title += f", the joint model reads the best {figures['rerank']}" if figures["rerank"] else ""
    table = Table("ranked by", title=title)
    for way in ("text→image", "image→text"):
        for k in (1, 5, 10):
            table.add_column(f"{way if k == 1 else ''}\nR@{k}", justify="right")
    table.add_column("\nSumR", justify="right")
    for name in ROWS:
        if name not in figures:
            continue
        row = figures[name]
        cells = [f"{value:.1f}" for value in _recalls(row)]
        if spread:
            cells = [f"{cell} ± {value:.1f}" for cell, value in zip(cells, _recalls(spread[name]), strict=True)]
        table.add_row(ROWS[name], *cells)
    Console().print(table)


def _recalls(row: dict) -> list[float]:
    """The six recalls and their sum."""
    return [*(row[way][f"R@{k}"] for way in ("TIR", "ITR") for k in (1, 5, 10)), row["SumR"]]


def print_ranking(figures: dict) -> None:
    """The fitted weights, and how well match probabilities agree with observed matches, by kind of score."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    for name, fit in figures.items():
        title = f"ranking {name.replace('_', ' ')}"
        weights = {key: value for key, value in fit.items() if key != "calibration"}
        console.print(f"{title}: " + ", ".join(f"{key} {value}" for key, value in weights.items()), markup=False)
        quality = fit.get("calibration")
        if not quality:
            continue
        table = Table(title=f"match probabilities, {quality['queries']:,} queries on {quality['products']:,} products")
        for column in ("scores", "pairs held out", "matches, %", "ECE, %"):
            table.add_column(column, justify="left" if column == "scores" else "right")
        for kind in ("vectors", "combined", "photo"):
            if kind in quality:
                bins = quality[kind]["reliability"]
                count = sum(each["pairs"] for each in bins)
                share = sum(each["pairs"] * each["observed"] for each in bins) / count
                table.add_row(kind, f"{count:,}", f"{100 * share:.1f}", f"{100 * quality[kind]['ECE']:.1f}")
        console.print(table)
        weak, accuracy = quality["weak"], quality["answerable_accuracy"]
        console.print(f"nothing matches well below {weak:.0%}: right for {accuracy:.0%} of queries (balanced)")
