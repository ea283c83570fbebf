"""How the verbs print figures and write them as JSON."""

from __future__ import annotations

import unicodedata
from json import dumps
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from kaleidobert.cli.output import STANDARD_OUTPUT, print_figures, write_text
from kaleidobert.main_process import is_main_process

INPUTS = {"both": "photo and text", "image": "the photo", "text": "the text"}


def write_figures(figures: dict, path: Path | None) -> None:
    """Write figures as JSON, if a path is given (- is standard output); under torchrun only in the first process."""
    if path is None or not is_main_process():
        return
    text = dumps(figures, indent=2, ensure_ascii=False) + "\n"
    if path == STANDARD_OUTPUT:
        print_figures(text)
    else:
        write_text(text, path)


def print_recognition(figures: dict) -> None:
    """Accuracy, F1 and SumCLS in one row, then what was left out and which classes were not trained."""
    task, split, products = (figures[name] for name in ("task", "split", "products"))
    title = f"{task} from {INPUTS[figures['inputs']]}, {products:,} products of {split}, {figures['classes']} classes"
    _print_row(title, {name: figures[name] for name in ("accuracy", "micro_f1", "macro_f1", "SumCLS")})
    if figures["products_without_label"]:
        print(f"left out {figures['products_without_label']:,} products without a {task}")
    if figures["classes_never_trained"]:
        classes, products = figures["classes_never_trained"], figures["products_never_trained"]
        print(f"the run was not trained on {classes} of the classes; their {products:,} products count as wrong")


def print_captioning(figures: dict) -> None:
    """Each metric and their sum in one row, then what was left out and which metrics were not computed."""
    title = f"captioning, {figures['products']:,} products of {figures['split']}, {figures['beams']} beams"
    _print_row(title, {name: figures[name] for name in ("BLEU-4", "METEOR", "ROUGE-L", "CIDEr", "SPICE", "SumCAP")})
    if figures["products_without_text"]:
        print(f"left out {figures['products_without_text']:,} products without a text")
    for name, reason in figures["not_computed"].items():
        print(f"{name} is not computed: {reason}")


def print_retrieval(figures: dict) -> None:
    """R@1, R@5, R@10 of both directions and SumR, one row per scorer; a gallery's new and trained products apart."""
    if "gallery" in figures:
        for group in ("unseen", "seen"):
            if group in figures:
                _print_retrieval(_gallery_title(figures, group), figures[group])
    else:
        spread = figures.get("spread")
        title = f"retrieval, protocol {figures['protocol']}: {figures['queries']:,} queries of {figures['split']}"
        title += f", each among {figures['candidates']:,} candidates"
        title += f", mean of {figures['draws']} draws ± standard deviation" if spread else ""
        title += f", the joint model re-ranks the best {figures['rerank']}" if figures["rerank"] else ""
        _print_retrieval(title, figures, spread)
    for name, weights in figures["weights"].items():
        idle = [way for way, weight in weights["joint_weight"].items() if not weight]
        if idle:
            ending = " + memory" if name == "with_memory" else ""
            ignored = "; re-ranking changes nothing there" if figures["rerank"] else ""
            print(
                f"combined{ending} is vectors{ending} in {' and '.join(idle)}: "
                f"the joint model was fitted a weight of 0{ignored}"
            )


def _gallery_title(figures: dict, group: str) -> str:
    """What a table of the ``seen`` or ``unseen`` queries shows."""
    which = "whose product was trained on" if group == "seen" else "of new products"
    return (
        f"{group}: {figures[group]['queries']:,} queries {which}, among {figures['candidates']:,} products of "
        f"{figures['gallery']}, {figures['trained']:,} of them trained on; the joint model re-ranks the best "
        f"{figures['rerank']}"
    )


def _print_retrieval(title: str, figures: dict, spread: dict | None = None) -> None:
    from kaleidobert.evaluation.metrics.retrieval import recall_values, scorer_rows

    table = Table("ranked by", title=title)
    for direction in ("text→image", "image→text"):
        for k in (1, 5, 10):
            table.add_column(f"{direction if k == 1 else ''}\nR@{k}", justify="right")
    table.add_column("\nSumR", justify="right")
    for scorer, row in scorer_rows(figures).items():
        cells = [f"{value:.1f}" for value in recall_values(row)]
        if spread:
            deviations = recall_values(spread[scorer])
            cells = [f"{cell} ± {deviation:.1f}" for cell, deviation in zip(cells, deviations, strict=True)]
        table.add_row(scorer.replace("_memory", " + memory"), *cells)
    Console().print(table)


def print_kagl(figures: dict) -> None:
    """A table per task with the published zero-shot models, and what was left out; all figures from 0 to 1."""
    from kaleidobert.evaluation.published import kagl_tables

    for each in kagl_tables(figures):
        table = Table("", title=each.caption)
        for name in each.columns:
            table.add_column(name, justify="right")
        for heading, rows in each.groups.items():
            table.add_section()
            table.add_row(f"[italic]{heading}[/italic]")
            for row in rows:
                table.add_row(row.heading, *("-" if cell is None else str(cell) for cell in row.cells))
        Console().print(table)
    for task, count in figures["queries_left_out"].items():
        if count:
            print(f"{task}: left out {count:,} queries of which no right product is at hand")
    if figures["trained_on"] == figures["data"]:
        print(f"the run was trained on the train split of {figures['data']}; new products are the rows 'unseen'")
    else:
        print(f"the run was trained on {figures['trained_on'] or 'data not recorded'}, not on {figures['data']}")
    if figures.get("note"):
        print(figures["note"])


def print_benchmark(title: str, figures: dict) -> None:
    """A row for each comparison; speed: the peer's time by what was measured."""
    machine = figures["machine"]
    table = Table(title=f"{title}; {machine['device']}, {machine['threads']} threads")
    for name in ("measured", "peer", "p50, ms", "p95, ms", "peer, ms", "speed", "limit"):
        table.add_column(name, justify="left" if name in ("measured", "peer", "limit") else "right")
    for row in figures["rows"]:
        cells = [f"{row[name]:,.4g}" if name in row else "" for name in ("p50", "p95", "peer_p50", "speed")]
        table.add_row(row["what"], row["peer"], *cells, _limit_text(row))
    Console().print(table)


def _limit_text(row: dict) -> str:
    if "limit" not in row:
        return ""
    limit = row["limit"]
    sign, end = ("" if limit["holds"] else "[red]missed:[/red] "), f"{limit['bound']} {limit['value']:g}"
    return f"{sign}{limit['figure']} {row[limit['figure']]:.3g} {end}"


def print_search(figures: dict) -> None:
    """A column for each ranking: nDCG@10 of each kind of query, then the other metrics over all."""
    kinds, rows = [*figures["kinds"], "all"], figures["rows"]
    asked = f"queries of {figures['judged']}" if figures.get("judged") else "short queries"
    title = f"{asked}, {figures['queries']} of {figures['split'] or 'all splits'}, {figures['products']:,} products"
    table = Table("nDCG@10, %", title=title)
    for name in rows:
        table.add_column(name.replace(" + ", "\n+ ").replace(" of ", "\nof "), justify="right")
    lines = [(kind, kind, "nDCG@10") for kind in kinds]
    lines += [(name, "all", name) for name in ("P@1", "P@10", "empty", "weak")]
    for label, kind, metric in lines:
        if label == "P@1":
            table.add_section()
        cells = [by_kind[kind].get(metric) for by_kind in rows.values()]
        table.add_row(_shown(label), *("-" if cell is None else f"{100 * cell:.1f}" for cell in cells))
    Console().print(table)
    if figures.get("left_out"):
        print("left out, as no product at hand is right: " + ", ".join(map(repr, figures["left_out"])))
    if figures["unjudged"]:
        place = figures["split"] or "the catalogue"
        print(f"{figures['unjudged']:,} products of the store are not in {place}, and count as wrong")


def print_events(figures: dict) -> None:
    """Counts, and a table each of the queries without a hit, the weak and the most frequent ones."""
    print(
        f"{figures['searches']:,} searches of {figures['queries']:,} queries: {100 * figures['without_hits']:.1f} % "
        f"found nothing, {100 * figures['weak']:.1f} % nothing that matches well; {figures['clicks']:,} clicks, "
        f"{figures['carts']:,} put in the cart"
    )
    for title, name in (("nothing found", "without_hits_queries"), ("no good match", "weak_queries")):
        if figures[name]:
            table = Table(title, "searches", title_justify="left")
            for row in figures[name]:
                table.add_row(_shown(row["query"]), f"{row['searches']:,}")
            Console().print(table)
    if figures["frequent_queries"]:
        table = Table("most frequent", "searches", "clicks a search", "mean rank of clicks", "put in the cart")
        for row in figures["frequent_queries"]:
            place = "-" if row["mean_position"] is None else f"{row['mean_position']:.1f}"
            cells = [f"{row['searches']:,}", f"{row['click_rate']:.2f}", place, f"{row['carts']:,}"]
            table.add_row(_shown(row["query"]), *cells)
        Console().print(table)
    if figures["MRR"] is not None:
        ranks = ", ".join(f"{name}: {count:,}" for name, count in figures["positions"].items())
        print(f"clicks by rank: {ranks}; mean reciprocal rank {figures['MRR']:.2f}")
    if figures["damaged_lines"]:
        print(f"left out {figures['damaged_lines']:,} damaged lines")


def _shown(text: str) -> str:
    """Text from outside for a terminal: without markup, and without characters that control it."""
    return escape("".join(" " if unicodedata.category(letter)[0] == "C" else letter for letter in text))


def print_export(figures: dict) -> None:
    """The largest error of each output, R@1 of run and export where it was measured, and what became of 8 bits."""
    table = Table("output", "largest error", title="exported model, compared with the run")
    for name, error in figures["largest_error"].items():
        table.add_row(name, f"{error:.1e}")
    Console().print(table)
    if "R@1" in figures:
        table = Table("R@1, %", title=f"text→image, {figures['queries']:,} queries of {figures['split']}")
        for name in figures["R@1"]:
            table.add_column(name, justify="right")
        for row in figures["R@1"]["torch"]:
            table.add_row(row, *(f"{found[row]:.1f}" for found in figures["R@1"].values()))
        Console().print(table)
    if int8 := figures.get("int8"):
        what = "texts are encoded with 8-bit weights" if int8["kept"] else "8-bit weights for texts are left out"
        print(f"{what}: {int8['gain']:.2f} times as fast ({int8['int8_ms']} ms a text, {int8['float32_ms']} ms before)")


def print_ranking(figures: dict) -> None:
    """The fitted weights, without and with the memory, and how well match probabilities agree with observed matches."""
    for name, fit in figures.items():
        weights = ", ".join(f"{key} {value}" for key, value in fit.items() if key != "calibration")
        Console().print(f"ranking {name.replace('_', ' ')}: {weights}", markup=False)
        if "calibration" in fit:
            print_calibration(fit["calibration"])


def print_calibration(figures: dict) -> None:
    """The calibration error of each score's match probabilities, and the threshold below which nothing matches."""
    table = Table(
        "score", title=f"match probabilities, {figures['queries']:,} queries on {figures['products']:,} products"
    )
    for name in ("held-out pairs", "matches, %", "ECE, %"):
        table.add_column(name, justify="right")
    for score in ("vectors", "combined", "photo"):
        if score in figures:
            bins = figures[score]["reliability"]
            pairs = sum(each["pairs"] for each in bins)
            matches = sum(each["pairs"] * each["observed"] for each in bins) / pairs
            table.add_row(score, f"{pairs:,}", f"{100 * matches:.1f}", f"{100 * figures[score]['ECE']:.1f}")
    Console().print(table)
    threshold, accuracy = figures["weak"], figures["answerable_accuracy"]
    print(f"a best probability below {threshold:.0%} means no match; balanced accuracy of this rule: {accuracy:.0%}")


def _print_row(title: str, values: dict[str, float | None]) -> None:
    table = Table(title=title)
    for name in values:
        table.add_column(name, justify="right")
    table.add_row(*("-" if value is None else f"{value:.1f}" for value in values.values()))
    Console().print(table)
