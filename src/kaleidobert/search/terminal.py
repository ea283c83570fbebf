"""One query from the command line: a table on the terminal, and a picture or JSON where asked for."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from PIL import Image
from rich.console import Console
from rich.table import Table
from rich.text import Text

from kaleidobert.data.product import open_image
from kaleidobert.errors import InputError
from kaleidobert.search.ranking import Answer, Hit, Ranker
from kaleidobert.search.records import parse_filters
from kaleidobert.search.schemas import SearchHit
from kaleidobert.search.sheet import result_sheet


def search_once(
    query: str | None,
    store: str,
    image: Path | None = None,
    filters: Iterable[str] = (),
    top: int = 10,
    rerank: int = 50,
    out: Path | None = None,
    model: Path | None = None,
    json_path: Path | None = None,
    console: Console | None = None,
) -> Answer:
    """Answer one query and show it; ``filters`` are "name=value".

    Raises ``InputError`` for input it cannot use.
    """
    conditions = parse_filters(filters)
    photo = open_photo(image) if image else None
    if not (query or "").strip() and photo is None:
        raise InputError("nothing to search for: give some words, --image FILE or both")
    ranker = Ranker.open(store, model)
    answer = ranker.answer(query, photo, conditions, top, rerank, thumbnails=out is not None)
    heading = query or f"photo {image}"
    console = console or Console()
    if answer.hits:
        console.print(_table(heading, answer.hits))
    else:
        console.print(f"Nothing found for {heading!r}. {ranker.why_nothing(conditions)}", markup=False)
    if out:
        _save(result_sheet(heading, answer.hits), out)
    if json_path:
        figures = {"query": query, "image": str(image) if image else None, "filters": conditions}
        json_path.write_text(json.dumps(figures | answer_figures(answer), indent=2, ensure_ascii=False))
    return answer


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
        "hits": [SearchHit.of(hit).model_dump(exclude={"image"}) for hit in answer.hits],
        "milliseconds": {stage: round(1000 * seconds, 2) for stage, seconds in answer.seconds.items()},
    }


def _table(heading: str, hits: list[Hit]) -> Table:
    table = Table(title=Text(heading))
    table.add_column("#", justify="right")
    table.add_column("id", overflow="fold")
    table.add_column("title")
    table.add_column("category")
    table.add_column("score", justify="right", no_wrap=True)
    for hit in hits:
        labels = " / ".join(filter(None, (hit.product.category, hit.product.subcategory)))
        table.add_row(str(hit.rank), *map(Text, (hit.product.id, hit.product.title, labels, hit.label)))
    return table


def _save(sheet: Image.Image, out: Path) -> None:
    try:
        sheet.save(out)
    except (OSError, ValueError) as error:
        raise InputError(f"the picture cannot be written to {out}: {error}") from error
