"""The pages' texts and addresses."""

from pathlib import Path
from urllib.parse import parse_qsl

import pytest

from kaleidobert.index.filters import parse_filters
from kaleidobert.search.query import Answer, Evidence, PatchWeight, Query
from kaleidobert.server.facet_panels import facet_panels, title_of
from kaleidobert.server.page_params import PageParams
from kaleidobert.server.pages import WEB, chips, count_text, headings, position_text

CSS = (WEB / "static" / "shop.css").read_text()


def test_the_url_holds_the_whole_search() -> None:
    params = PageParams("red & <dress>", like="a/b c", avoid="dots", filters=parse_filters(["x=1", "x=2"]), page=3)
    url = params.href(page=3)
    assert parse_qsl(url.removeprefix("./?")) == params.pairs()
    assert ("page", "3") not in parse_qsl(
        params.href(avoid="").removeprefix("./?")
    )  # another result starts on its first page


@pytest.mark.parametrize(("name", "title"), [("second_colour", "Second colour"), ("baseColour", "Base colour")])
def test_attribute_names_become_titles(name: str, title: str) -> None:
    assert title_of(name) == title


def test_facets_that_cannot_narrow_the_result_are_left_out() -> None:
    counts = {
        "colour": [("red", 3), ("blue", 2), ("", 4)],
        "season": [("summer", 5)],
        "category": [("Tops", 5)],
        "year": [(str(year), 1) for year in range(2010, 2020)],
    }
    facets = facet_panels(counts, parse_filters(["category=Tops", "colour=green"]))
    assert [facet.name for facet in facets] == ["category", "year", "colour"]
    category, year, colour = facets
    assert [(value.text, value.count, value.checked) for value in category.values] == [("Tops", 5, True)]
    assert (year.low, year.high, year.values) == ("2010", "2019", [])
    assert [(value.condition, value.count) for value in colour.values] == [
        ("colour=green", 0),  # active, so that it can be removed
        ("colour=red", 3),
        ("colour=blue", 2),
    ]


def test_every_operand_of_a_filter_has_a_chip_that_removes_it() -> None:
    found = chips(parse_filters(["colour=red", "price>=10", "price<=12000000"]))
    assert [(name, text, others.to_strings()) for name, text, others in found] == [
        ("colour", "Red", ["price<=12000000", "price>=10"]),
        ("price", "up to 12000000", ["colour=red", "price>=10"]),
        ("price", "from 10", ["colour=red", "price<=12000000"]),
    ]


@pytest.mark.parametrize(
    ("condition", "text"),
    [
        ("price=30..60", "30 to 60"),
        ("price<50", "under 50"),
        ("price>50", "over 50"),
        ("material=>90 % cotton", ">90 % cotton"),
        ('age="3..6"', "3..6"),
        ("size=30..", "30.."),
    ],
)
def test_conditions_are_worded(condition: str, text: str) -> None:
    ((_, found, _),) = chips(parse_filters([condition]))
    assert found == text


def test_an_active_range_can_be_changed() -> None:
    (facet,) = facet_panels({"price": [("10", 2)]}, parse_filters(["price<=20"]))
    assert (facet.start, facet.stop) == ("", "20")


def test_headings_and_counts() -> None:
    assert headings(PageParams("red"), None) == ("Results for", "“red”")
    assert headings(PageParams(photo="x"), None) == ("", "Like your photo")
    assert headings(PageParams(filters=parse_filters(["category=Tops"])), None) == ("", "Tops")
    assert PageParams(filters=parse_filters(["category=Tops", "colour=red"])).search_text == "Tops red"
    assert count_text(Answer([], Query(), 1)) == "1 product"
    assert count_text(Answer([], Query(), 1200, exact=False)) == "At least 1,200 products"


@pytest.mark.parametrize(
    ("box", "words"),
    [
        ((0.0, 0.0, 0.2, 0.2), "at the top, on the left"),
        ((0.4, 0.4, 0.6, 0.6), "in the middle"),
        ((0.8, 0.9, 1.1, 1.1), "at the bottom, on the right"),
    ],
)
def test_positions_on_the_photo(box: tuple[float, float, float, float], words: str) -> None:
    assert position_text(Evidence("red", 0, 3, 1.0, [PatchWeight(5, *box, 1.0)])) == words


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.2) of #rgb or #rrggbb."""
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = [int(digits[start : start + 2], 16) / 255 for start in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(
    ("text", "background"),
    [("ink", "page"), ("faint", "page"), ("faint", "panel"), ("accent", "page"), ("on-ink", "ink")],
)
def test_text_has_enough_contrast(theme: int, text: str, background: str) -> None:
    blocks = [block.split("}")[0] for block in CSS.split(":root {")[1:]]
    pairs = [pair.split(":") for pair in blocks[theme].split(";") if ": #" in pair]
    colours = {name.strip(): value.strip() for name, value in pairs}
    light, dark = sorted((luminance(colours[f"--{name}"]) for name in (text, background)), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 4.5  # WCAG 2.2, level AA


def test_vendored_fonts_have_their_licence() -> None:
    fonts = WEB / "static" / "fonts"
    assert {path.suffix for path in fonts.iterdir()} == {".woff2", ".txt"}
    assert "SIL Open Font License" in Path(fonts / "LICENSE.txt").read_text()
