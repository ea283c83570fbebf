"""Query parameters that several routes share, with their limits."""

from __future__ import annotations

from typing import Annotated

import fastapi

from kaleidobert.server.schemas import MAX_FILTERS, MAX_ID, MAX_TEXT

QueryText = Annotated[str, fastapi.Query(max_length=MAX_TEXT)]
ProductId = Annotated[str, fastapi.Query(alias="id", max_length=MAX_ID)]
FilterConditions = Annotated[list[str] | None, fastapi.Query(alias="filter", max_length=MAX_FILTERS)]
