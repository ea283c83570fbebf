"""An HTML page on one or several runs: their settings, their training curves and their evaluations.

Like the publication (patent: FIG. 6), it shows the total loss and that of each task, on training and validation data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from kaleidobert.errors import InputError
from kaleidobert.evaluation.published import published_tables
from kaleidobert.evaluation.rendering import render
from kaleidobert.evaluation.run_summary import NOT_OBJECTIVES, REFERENCES, RunSummary, load_history, objective_of
from kaleidobert.evaluation.tables import Row, Table, evaluation_tables
from kaleidobert.files import replacing
from kaleidobert.model.losses import DOWNSTREAM_LOSSES
from kaleidobert.model.pretext_tasks import pretraining_losses
from kaleidobert.training.settings import RUN_SETTINGS

COLOURS = matplotlib.color_sequences["petroff10"]  # distinguishable with colour blindness
LINE_STYLES = dict(zip(REFERENCES, (":", "--", "--"), strict=True))
CURVES = ("total", *pretraining_losses(), *DOWNSTREAM_LOSSES)  # the order of the figures
TIMINGS = ("runtime", "_per_second")  # how the names of the trainer's timings end
FIGURE_SIZE = (6.4, 3.6)  # inches


@dataclass(frozen=True)
class Curve:
    """One figure of one run by step, on training and on validation data, and its references on validation data."""

    training: dict[int, float]
    validation: dict[int, float]
    references: dict[str, dict[int, float]]


def report(runs: Sequence[Path], out: Path) -> list[Path]:
    """Write the page ``out``, and one PNG per figure into a folder of the same name; returns all paths.

    Runs are named by the shortest ends of their paths that differ. A run in training is read from its last
    checkpoint. Raises ``InputError`` where a folder holds no run.
    """
    named = dict(zip(_names(runs), runs, strict=True))
    curves = {name: read_curves(run) for name, run in named.items()}
    folder = out.with_suffix("")
    folder.mkdir(parents=True, exist_ok=True)
    pictures = []
    for figure in sorted({figure for each in curves.values() for figure in each}, key=_position):
        pictures.append(folder / f"{figure}.png")
        draw_curves(figure, {name: each[figure] for name, each in curves.items() if figure in each}, pictures[-1])
    evaluated = [table for name, run in named.items() for table in evaluation_tables(name, run)]
    page = render(
        "report.html",
        title=" and ".join(named),
        tables=[*settings_tables(named), *evaluated, *published_tables(named)],
        pictures=[path.relative_to(out.parent).as_posix() for path in pictures],
    )
    out.write_text(page)
    return [out, *pictures]


def settings_tables(runs: Mapping[str, Path]) -> list[Table]:
    """One table with a column per run; folders without settings, such as those of `align`, are left out."""
    facts = {name: RunSummary.load(run).facts() for name, run in runs.items() if (run / RUN_SETTINGS).is_file()}
    labels = dict.fromkeys(label for each in facts.values() for label in each)
    rows = [Row(label, [each[label] for each in facts.values()]) for label in labels]
    return [Table("Settings and training", list(facts), {"": rows})] if facts else []


def read_curves(run: Path) -> dict[str, Curve]:
    """Every loss and accuracy that a run logged, by name; ``total`` is the weighted sum that was minimised."""
    values: dict[str, dict[int, float]] = {}
    for row in load_history(run):
        for name, value in row.items():
            values.setdefault(name, {})[row["step"]] = value
    values["total"], values["eval_total"] = values.pop("loss", {}), values.pop("eval_loss", {})
    names = dict.fromkeys(name.removeprefix("eval_") for name in values)
    return {
        name: Curve(
            values.get(name, {}),
            values.get(f"eval_{name}", {}),
            {kind: values.get(f"eval_{name}{kind}", {}) for kind in REFERENCES},
        )
        for name in names
        if name not in NOT_OBJECTIVES and not name.endswith((*REFERENCES, *TIMINGS))
    }


def _position(name: str) -> tuple:
    """Sorts figures: the total, then each loss with its accuracy, level by level, in the order of ``CURVES``.

    Losses that are not in ``CURVES`` follow in alphabetical order.
    """
    objective = objective_of(name)
    place = CURVES.index(objective) if objective in CURVES else len(CURVES)
    return place, objective, name.removesuffix("_accuracy"), name


def _names(runs: Sequence[Path]) -> list[str]:
    """The shortest ends of the runs' paths that are all different."""
    parts = [run.resolve().parts for run in runs]
    if len(set(parts)) < len(parts):
        raise InputError(f"{', '.join(map(str, runs))}: a run is given twice")
    length = next(n for n in range(1, max(map(len, parts)) + 1) if len({each[-n:] for each in parts}) == len(parts))
    return ["/".join(each[-length:]) for each in parts]


def draw_curves(name: str, curves: Mapping[str, Curve], path: Path) -> None:
    """Draw one figure of all runs, given by run, as a PNG."""
    figure = Figure(figsize=FIGURE_SIZE, layout="constrained")
    axes = figure.subplots()
    for (run, curve), colour in zip(curves.items(), COLOURS * len(curves), strict=False):
        marker = "." if len(curve.validation) < 30 else ""
        axes.plot(*_points(curve.training), color=colour, alpha=0.35, linewidth=1)
        axes.plot(*_points(curve.validation), color=colour, label=run, marker=marker)
        for kind, values in curve.references.items():
            axes.plot(*_points(values), color=colour, linestyle=LINE_STYLES[kind], linewidth=1)
    axes.set(title=name.replace("_", " "), xlabel="step", ylabel="accuracy" if name.endswith("accuracy") else "loss")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    with replacing(path) as scratch:
        figure.savefig(scratch, dpi=150, format=path.suffix[1:].lower())


def _points(values: Mapping[int, float]) -> tuple[list[int], list[float]]:
    return list(values), list(values.values())


def draw_reliability(figures: Mapping, path: Path) -> None:
    """Draw predicted against observed matches in ten bins, one curve per score, on held-out queries, as a PNG."""
    figure = Figure(figsize=(4.8, 4.6), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="#999999", linestyle=":", label="perfectly calibrated")
    scores = [score for score in ("vectors", "combined", "photo") if score in figures]
    for colour, score in zip(COLOURS, scores, strict=False):
        bins = [each for each in figures[score]["reliability"] if each["pairs"] >= 20]
        predicted, observed = ([each[key] for each in bins] for key in ("predicted", "observed"))
        label = f"{score}, ECE {100 * figures[score]['ECE']:.1f} %"
        axes.plot(predicted, observed, color=colour, marker="o", label=label)
    axes.set(xlabel="predicted match probability", ylabel="observed matches", xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.legend(frameon=False)
    with replacing(path) as scratch:
        figure.savefig(scratch, dpi=120, format=path.suffix[1:].lower())
