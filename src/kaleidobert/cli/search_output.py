"""One query from the command line: a table on the terminal, and a picture or JSON where asked for."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from PIL import Image
from rich.console import Console
from rich.table import Table
from rich.text import Text

from kaleidobert.data.product import open_image
from kaleidobert.errors import InputError
from kaleidobert.search.contact_sheet import result_sheet
from kaleidobert.search.query import Answer, Hit, Query
from kaleidobert.search.ranker import Ranker


def search_once(
    query: Query,
    store: str,
    out: Path | None = None,
    model: Path | None = None,
    json_path: Path | None = None,
    console: Console | None = None,
) -> Answer:
    """Answer one query and show it. Raises ``InputError`` for input it cannot use."""
    query.check()
    ranker = Ranker.open(store, model)
    answer = ranker.answer(query)
    heading = heading_of(query)
    console = console or Console()
    if answer.hits:
        if answer.weak:
            console.print("Nothing here matches well; these are the nearest.", style="yellow")
        console.print(_table(heading, answer.hits, query.why))
        about = "" if answer.exact else "at least "
        console.print(f"{about}{answer.total:,} products in all", markup=False, highlight=False)
        for name, counts in answer.facets.items():
            values = ", ".join(f"{value} ({count})" for value, count in counts[:8])
            console.print(f"{name}: {values}", markup=False, highlight=False)
    else:
        console.print(f"Nothing found for {heading!r}. {ranker.why_nothing(query.filters)}", markup=False)
    if out:
        _save(result_sheet(heading, answer.hits), out)
    if json_path:
        asked = {"query": query.text, "like": query.like, "avoid": query.avoid, "filters": query.filters.to_strings()}
        json_path.write_text(json.dumps(asked | answer_figures(answer), indent=2, ensure_ascii=False))
    return answer


def heading_of(query: Query) -> str:
    """The query in words: 'red dress + photo, like 123, without leather'."""
    wanted = " + ".join(filter(None, [query.text.strip(), "photo" if query.image is not None else ""]))
    like = f"like {query.like}" if query.like else ""
    avoid = f"without {query.avoid.strip()}" if query.avoid.strip() else ""
    return ", ".join(filter(None, [wanted, like, avoid]))


def open_photo(path: Path) -> Image.Image:
    """Read a photo as RGB. Raises ``InputError`` where it is missing or no picture."""
    try:
        return open_image(path)
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else "it is not a picture that can be read"
        raise InputError(f"photo {path}: {reason}") from error


def answer_figures(answer: Answer) -> dict[str, Any]:
    """An answer as plain values for JSON, without photos."""
    return {
        "hits": [hit_figures(hit) for hit in answer.hits],
        "total": answer.total,
        "exact": answer.exact,
        "weak": answer.weak,
        "next_offset": answer.next_offset,
        "facets": answer.facets,
        "milliseconds": {stage: round(1000 * seconds, 2) for stage, seconds in answer.seconds.items()},
    }


def hit_figures(hit: Hit) -> dict[str, Any]:
    """A hit as plain values, its product's fields among them."""
    own = {"rank": hit.rank, "match": hit.match, "score": hit.score, "variants": hit.variants}
    why = None if hit.why is None else [asdict(each) for each in hit.why]
    return asdict(hit.product) | own | {"why": why}


def _table(heading: str, hits: list[Hit], why: bool) -> Table:
    table = Table(title=Text(heading))
    table.add_column("#", justify="right")
    table.add_column("id", overflow="fold")
    table.add_column("title")
    table.add_column("category")
    table.add_column("match", justify="right", no_wrap=True)
    if why:
        table.add_column("why")
    for hit in hits:
        labels = " / ".join(filter(None, (hit.product.category, hit.product.subcategory)))
        title = hit.product.title + (f" (+{hit.variants} variants)" if hit.variants else "")
        cells = [hit.product.id, title, labels, f"{hit.match:.0%}", *([_why(hit)] if why else [])]
        table.add_row(str(hit.rank), *map(Text, cells))
    return table


def _why(hit: Hit) -> str:
    """The words that explain the match, the weightiest first."""
    words = sorted(hit.why or [], key=lambda each: -each.weight)
    return ", ".join(f"{each.word} {each.weight:.0%}" for each in words if each.weight >= 0.005)


def _save(sheet: Image.Image, out: Path) -> None:
    try:
        sheet.save(out)
    except (OSError, ValueError) as error:
        raise InputError(f"the picture cannot be written to {out}: {error}") from error
