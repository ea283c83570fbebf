"""Pictures of search results."""

from dataclasses import replace

import pytest

from fixtures.shop import Shop
from kaleidobert.search.contact_sheet import result_sheet, result_sheets


@pytest.mark.parametrize("shop", ["lancedb"], indirect=True)
def test_sheets_have_a_card_for_every_hit(shop: Shop) -> None:
    hits = shop.ranker().search("blue ellipse", top=7)
    long = replace(hits[0], product=replace(hits[0].product, title="A very long title, " * 20))
    sheet = result_sheet("blue ellipse " * 30, [long, *hits[1:]], columns=5)
    assert sheet.height > result_sheet("blue ellipse", hits[:5]).height
    assert result_sheet("nothing", []).width == sheet.width
    rows = result_sheets([("one", hits), ("two", hits[:2])])
    assert rows.width > sheet.width
    assert sheet.crop((32, 120, 1000, 400)).convert("L").getextrema()[0] < 60  # not blank
