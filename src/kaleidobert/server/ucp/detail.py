"""One product in detail: the variants that a selection of options leaves, and what other choices would give."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ucp_sdk.models.schemas.shopping.catalog_lookup import DetailProduct, GetProductRequest, Option
from ucp_sdk.models.schemas.shopping.types.detail_option_value import DetailOptionValue
from ucp_sdk.models.schemas.shopping.types.variant import Variant

from kaleidobert.index.records import Candidate
from kaleidobert.server.ucp.envelope import UcpError
from kaleidobert.server.ucp.options import Selection, matching, option_names, relaxed, selection_of, values_of
from kaleidobert.server.ucp.products import ProductMapper, selected
from kaleidobert.words import letters_of


def detail_product(
    request: GetProductRequest,
    variants: Sequence[Candidate],
    requested: Candidate | None,
    mapper: ProductMapper,
    passing: Callable[[list[Candidate]], list[Candidate]],
    views: Callable[[str], Sequence[int]],
) -> DetailProduct | None:
    """The product of these variants; None where none passes.

    requested: the variant that the request names, which then decides the selection. passing: those of some variants
    that pass the request's filters. views: product id -> all photos of it.
    """
    names = option_names(variants)
    if requested is not None or request.selected is None:
        selection: Selection = selection_of(requested or variants[0], names)
    else:
        selection = requested_selection(request, variants, names)
    shown = passing(sorted(matching(variants, selection), key=lambda each: each is not requested))
    if not shown:
        return None
    options = [Option(name=name, values=signals(name, selection, variants, mapper)) for name in names]
    described = [Variant(**mapper.variant(each, names, views(each.id) if each is shown[0] else ())) for each in shown]
    fields = mapper.product(variants, shown[0]) | {"options": options or None, "media": described[0].media}
    return DetailProduct(**fields, variants=described, selected=selected(selection))


def requested_selection(request: GetProductRequest, variants: Sequence[Candidate], names: list[str]) -> Selection:
    """What a request selects, relaxed until a variant has it. Raises ``UcpError`` for an option given twice."""
    known = {letters_of(name): name for name in names}
    given = [(known[letters_of(each.name)], each.label) for each in request.selected if letters_of(each.name) in known]
    if len(dict(given)) < len(given):
        raise UcpError(400, "invalid_request", "selected has one option twice: send each option once")
    preferences = [known[letters_of(name)] for name in request.preferences or () if letters_of(name) in known]
    return relaxed(variants, dict(given), preferences)


def signals(
    name: str, selection: Selection, variants: Sequence[Candidate], mapper: ProductMapper
) -> list[DetailOptionValue]:
    """For each value of an option whether a variant has it beside the rest of the selection, and can be ordered."""
    values = []
    for value in values_of(name, variants):
        found = matching(variants, {**selection, name: value})
        available = any(mapper.available(each) for each in found)
        values.append(DetailOptionValue(label=value, exists=bool(found), available=available))
    return values
