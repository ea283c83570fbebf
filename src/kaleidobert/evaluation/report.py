"""A page of figures over one or several runs: every loss and accuracy by step, and what retrieval reached.

The publication draws each task's loss and the total (SEED: FIG. 6); so does this, on training and on validation
data, for as many runs as are given, so that two settings are compared at a glance.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template

import matplotlib
from matplotlib.figure import Figure

from kaleidobert.errors import InputError
from kaleidobert.evaluation.published import published_tables
from kaleidobert.model.losses import DOWNSTREAM_LOSSES
from kaleidobert.model.pretext_tasks import pretraining_losses
from kaleidobert.training.runs import whole_checkpoints

COLOURS = matplotlib.color_sequences["petroff10"]  # told apart by the colour-blind, too
REFERENCES = {"_chance": ":", "_copy": "--", "_blind": "--"}  # what knows nothing of products
CURVES = (*pretraining_losses(), *DOWNSTREAM_LOSSES)
FIGURE_SIZE = (6.4, 3.6)  # inches

PAGE = Template("""<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>$title</title>
<style>
  body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 84rem; padding: 0 1rem; color: #1c1c1c }
  h1, h2 { font-weight: 600 }
  .figures { display: grid; grid-template-columns: repeat(auto-fill, minmax(26rem, 1fr)); gap: 1rem }
  img { width: 100%; height: auto }
  table { border-collapse: collapse } caption { text-align: left; font-weight: 600; padding: .5rem 0 }
  th, td { padding: .25rem .75rem; border-bottom: 1px solid #ddd; text-align: right }
  th:first-child { text-align: left }
</style>
<h1>$title</h1>
$tables
<h2>Losses and accuracies by step</h2>
<p>Solid: validation. Faint: training. Dotted: chance, or a constant. Dashed: copied from overlapping patches, or, for
LM, read without the photo.</p>
<div class="figures">
$figures
</div>
</html>
""")


@dataclass(frozen=True)
class Curve:
    """One figure of one run: values by step on training and on validation data, and its references on the latter."""

    training: dict[int, float]
    validation: dict[int, float]
    references: dict[str, dict[int, float]]


def report(runs: Sequence[Path], out: Path) -> list[Path]:
    """Write the page ``out`` and, in a folder of the same name beside it, a PNG a figure; returns all of them.

    Runs are named by their folders, and by as much of their paths as tells them apart. A run that is still training
    is read from its last checkpoint. Raises ``InputError`` where a folder holds no run.
    """
    named = dict(zip(_names(runs), map(read_curves, runs), strict=True))
    folder = out.with_suffix("")
    folder.mkdir(parents=True, exist_ok=True)
    pictures = []
    for name in _ordered({name for curves in named.values() for name in curves}):
        pictures.append(folder / f"{name}.png")
        draw_curves(name, {run: curves[name] for run, curves in named.items() if name in curves}, pictures[-1])
    out.write_text(_page(dict(zip(named, runs, strict=True)), [path.relative_to(out.parent) for path in pictures]))
    return [out, *pictures]


def read_curves(run: Path) -> dict[str, Curve]:
    """Every loss and accuracy that a run logged, by name; ``total`` is the sum that it minimised."""
    values: dict[str, dict[int, float]] = {}
    for row in _history(run):
        for name, value in row.items():
            values.setdefault(name, {})[row["step"]] = value
    values["total"], values["eval_total"] = values.pop("loss", {}), values.pop("eval_loss", {})
    names = [name for name in values if name == "total" or _is_curve(name)]
    validated = [name.removeprefix("eval_") for name in values if name.startswith("eval_")]
    names += [name for name in validated if name not in names and _is_curve(name)]
    return {name: _curve(name, values) for name in names}


def _is_curve(name: str) -> bool:
    """Whether this is a loss or an accuracy, also of one level (G2CM_3x3), and not one of its references."""
    return name.partition("_")[0] in CURVES and not name.endswith(tuple(REFERENCES))


def _curve(name: str, values: Mapping[str, dict[int, float]]) -> Curve:
    references = {kind: values.get(f"eval_{name}{kind}", {}) for kind in REFERENCES}
    return Curve(values.get(name, {}), values.get(f"eval_{name}", {}), references)


def _history(run: Path) -> list[dict]:
    if (run / "history.json").is_file():
        return json.loads((run / "history.json").read_text())
    checkpoints = whole_checkpoints(run)
    if not checkpoints:
        raise InputError(
            f"{run}: no run there, and no checkpoint of one; give a folder that pretrain or finetune wrote"
        )
    return json.loads((checkpoints[-1] / "trainer_state.json").read_text())["log_history"]


def _names(runs: Sequence[Path]) -> list[str]:
    """The shortest ends of the runs' paths that tell them apart."""
    parts = [run.resolve().parts for run in runs]
    if len(set(parts)) < len(parts):
        raise InputError(f"{', '.join(map(str, runs))}: a run is given twice")
    length = next(n for n in range(1, max(map(len, parts)) + 1) if len({each[-n:] for each in parts}) == len(parts))
    return ["/".join(each[-length:]) for each in parts]


def _ordered(names: set[str]) -> list[str]:
    """The total, then each loss with its accuracy, as the publication orders them."""
    order = ["total", *CURVES]
    return sorted(names, key=lambda name: (order.index(name.partition("_")[0]), name))


def draw_curves(name: str, curves: Mapping[str, Curve], path: Path) -> None:
    """One figure over all runs, as a PNG."""
    figure = Figure(figsize=FIGURE_SIZE, layout="constrained")
    axes = figure.subplots()
    for (run, curve), colour in zip(curves.items(), COLOURS * len(curves), strict=False):
        axes.plot(*_points(curve.training), color=colour, alpha=0.35, linewidth=1)
        axes.plot(*_points(curve.validation), color=colour, label=run, marker="." if len(curve.validation) < 30 else "")
        for kind, values in curve.references.items():
            axes.plot(*_points(values), color=colour, linestyle=REFERENCES[kind], linewidth=1)
    axes.set(title=name.replace("_", " "), xlabel="step", ylabel="accuracy" if name.endswith("accuracy") else "loss")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=150)


def _points(values: Mapping[int, float]) -> tuple[list[int], list[float]]:
    return list(values), list(values.values())


def _page(runs: Mapping[str, Path], pictures: Sequence[Path]) -> str:
    images = (f'<img src="{escape(str(path))}" alt="{escape(path.stem)} by step">' for path in pictures)
    tables = "\n".join(filter(None, (*(_retrieval_table(*each) for each in runs.items()), *published_tables(runs))))
    return PAGE.substitute(title=escape(" and ".join(runs)), tables=tables, figures="\n".join(images))


def _retrieval_table(name: str, run: Path) -> str:
    """What each evaluation of a run gave, a row a scorer; nothing where it was never evaluated."""
    rows = []
    for path in sorted((run / "evaluation").glob("retrieval-*.json")):
        figures = json.loads(path.read_text())
        for scorer in ("cosine", "vectors", "joint", "combined"):
            row = figures[scorer]
            values = [row[way][f"R@{k}"] for way in ("TIR", "ITR") for k in (1, 5, 10)] + [row["SumR"]]
            what = f"{figures['split']}, {figures['protocol']}, {figures['queries']:,} queries: {scorer}"
            rows.append(f"<tr><th>{escape(what)}</th>{''.join(f'<td>{value:.1f}</td>' for value in values)}</tr>")
    if not rows:
        return ""
    heads = "".join(f"<th>{way} R@{k}</th>" for way in ("TIR", "ITR") for k in (1, 5, 10))
    table = f"<tr><th></th>{heads}<th>SumR</th></tr>{''.join(rows)}"
    return f"<table><caption>{escape(name)}: retrieval, in percent</caption>{table}</table>"


def draw_reliability(figures: Mapping, path: Path) -> None:
    """Predicted against observed matches of each kind of score in ten bins, on queries that were not fitted to."""
    figure = Figure(figsize=(4.8, 4.6), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="#999999", linestyle=":", label="as often as said")
    kinds = [kind for kind in ("vectors", "combined", "photo") if kind in figures]
    for colour, kind in zip(COLOURS, kinds, strict=False):
        bins = [each for each in figures[kind]["reliability"] if each["pairs"] >= 20]
        label = f"{kind}, ECE {100 * figures[kind]['ECE']:.1f} %"
        points = ([each["predicted"] for each in bins], [each["observed"] for each in bins])
        axes.plot(*points, color=colour, marker="o", label=label)
    axes.set(xlabel="match probability", ylabel="share that matched", xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.legend(frameon=False)
    figure.savefig(path, dpi=120)
