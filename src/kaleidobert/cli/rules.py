"""`kaleidobert rules`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def rules(
    store: Annotated[str, typer.Argument(help="The store: a folder or an object-store address.")],
    file: Annotated[Path | None, typer.Argument(help="A YAML file with the new rules; without it, show them.")] = None,
) -> None:
    """Show a store's own rules, or replace them: synonyms; what to pin, bury, boost, announce or redirect.

    They hold for the version that is searched, from the next query on, and go over to versions that are built later.
    docs/search.md describes the file.

    Example: kaleidobert rules shop.store rules.yaml
    """
    import yaml

    from kaleidobert.errors import InputError
    from kaleidobert.index.lancedb_store import LanceDBIndex
    from kaleidobert.index.opening import store_errors
    from kaleidobert.search.rules import parse_rules

    index = LanceDBIndex.open(store)
    if file is None:
        typer.echo(
            yaml.safe_dump(index.info.rules, sort_keys=False, allow_unicode=True) if index.info.rules else "none"
        )
        return
    try:
        text = file.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: cannot be read: {error}") from error
    found = parse_rules(text, file)
    with store_errors(store):
        known = set(index.product_ids())
        index.describe(rules=found.model_dump(exclude_defaults=True))
    missing = [each for rule in found.rules for each in (*rule.pin, *rule.bury) if each not in known]
    typer.echo(f"{len(found.synonyms)} synonyms and {len(found.rules)} rules are in force")
    if missing:
        typer.echo(f"{len(missing)} pinned or buried ids are not in the store, such as {missing[0]!r}")
