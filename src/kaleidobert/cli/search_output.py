"""Runs one query for the command line and shows the answer as a table, and as a picture and JSON on request."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from kaleidobert.cli.figures import write_figures
from kaleidobert.cli.output import check_files, check_picture, save_picture
from kaleidobert.index.opening import store_errors
from kaleidobert.scoring.engine import Engine
from kaleidobert.search.contact_sheet import result_sheet
from kaleidobert.search.query import Answer, Hit, Query
from kaleidobert.search.query_encoder import phrases_of
from kaleidobert.search.ranker import Ranker

MAX_FACET_VALUES = 8


def search_once(
    query: Query,
    store: str,
    out: Path | None = None,
    model: Path | None = None,
    json_path: Path | None = None,
    console: Console | None = None,
    engine: Engine = Engine.torch,
) -> Answer:
    """Answer one query and show the answer. Raises ``InputError`` for a query, store or path that cannot be used."""
    query.check()
    check_picture(out)
    check_files(json_path)
    with store_errors(store):
        answer = Ranker.open(store, model, engine).answer(query)
    heading = query_text(query)
    console = console or Console()
    if understood := understood_text(query, answer.asked):
        console.print(understood, style="dim", markup=False, highlight=False)
    if answer.note:
        console.print(answer.note, style="yellow", markup=False, highlight=False)
    if answer.hits:
        if answer.weak:
            console.print("Nothing matches well; these are the nearest products.", style="yellow")
        console.print(_table(heading, answer.hits, query.why))
        total = f"{answer.total:,} products" if answer.exact else f"at least {answer.total:,} products"
        console.print(f"{total} in total", markup=False, highlight=False)
        for name, counts in answer.facets.items():
            values = ", ".join(f"{value} ({count})" for value, count in counts[:MAX_FACET_VALUES])
            console.print(f"{name}: {values}", markup=False, highlight=False)
    else:
        console.print(
            f"Nothing found for {heading!r}. {answer.nothing}",
            markup=False,
        )
    if out:
        save_picture(result_sheet(heading, answer.hits), out)
    if json_path:
        request = {"query": query.text, "like": query.like, "avoid": query.avoid, "filters": query.filters.to_strings()}
        write_figures(request | answer_to_dict(answer), json_path)
    return answer


def understood_text(query: Query, asked: Query) -> str:
    """What was understood of the text beyond its words: "without stripes, price<=50, prefers colour: red"."""
    avoid = phrases_of(asked.avoid)[len(phrases_of(query.avoid)) :]
    given = query.filters.to_strings()
    parts = [f"without {phrase}" for phrase in avoid]
    parts += [condition for condition in asked.filters.to_strings() if condition not in given]
    parts += [f"prefers {name}: {value}" for name, value in asked.preferred]
    return "understood: " + ", ".join(parts) if parts else ""


def query_text(query: Query) -> str:
    """The query for display: 'red dress + photo, like 123, without leather'."""
    wanted = " + ".join(filter(None, [query.text.strip(), "photo" if query.image is not None else ""]))
    like = f"like {query.like}" if query.like else ""
    avoid = f"without {query.avoid.strip()}" if query.avoid.strip() else ""
    return ", ".join(filter(None, [wanted, like, avoid]))


def answer_to_dict(answer: Answer) -> dict[str, Any]:
    """An answer as plain values for JSON, without thumbnails; the fields are those of the API."""
    return {
        "hits": [hit_to_dict(hit) for hit in answer.hits],
        "total": answer.total,
        "exact": answer.exact,
        "weak": answer.weak,
        "note": answer.note,
        "banner": answer.banner,
        "redirect": answer.redirect,
        "next_offset": answer.next_offset,
        "facets": {
            name: [{"value": value, "count": count} for value, count in counts]
            for name, counts in answer.facets.items()
        },
        "milliseconds": {stage: round(1000 * seconds, 2) for stage, seconds in answer.seconds.items()},
    }


def hit_to_dict(hit: Hit) -> dict[str, Any]:
    """A hit with its product's fields as plain values."""
    fields = {"rank": hit.rank, "match": hit.match, "score": hit.score, "variants": hit.variants}
    why = None if hit.why is None else [asdict(each) for each in hit.why]
    return asdict(hit.product) | fields | {"why": why}


def _table(heading: str, hits: list[Hit], why: bool) -> Table:
    table = Table(title=Text(heading))
    table.add_column("#", justify="right")
    table.add_column("id", overflow="fold")
    table.add_column("title")
    table.add_column("category")
    matches = all(hit.match is not None for hit in hits)
    if matches:
        table.add_column("match", justify="right", no_wrap=True)
    if why:
        table.add_column("why")
    for hit in hits:
        labels = " / ".join(filter(None, (hit.product.category, hit.product.subcategory)))
        title = hit.product.title + (f" (+{hit.variants} variants)" if hit.variants else "")
        match = [f"{hit.match:.0%}"] if matches else []
        cells = [hit.product.id, title, labels, *match, *([_why(hit)] if why else [])]
        table.add_row(str(hit.rank), *map(Text, cells))
    return table


def _why(hit: Hit) -> str:
    """The words that explain the match, those with the most weight first."""
    words = sorted(hit.why or [], key=lambda each: -each.weight)
    return ", ".join(f"{each.word} {each.weight:.0%}" for each in words if each.weight >= 0.005)
