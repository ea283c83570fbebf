"""The shop in a real browser."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from fixtures.visits import Site, open_page

CARDS = "[data-card]"
PRODUCTS = 36


def wait_for_page(page: Any, selector: str) -> None:
    """Wait for the page that has this element, all of it: its cards are parsed and its scripts have run."""
    page.wait_for_selector(selector)
    page.wait_for_load_state("load")


def search(page: Any, words: str) -> None:
    page.goto("")
    page.fill("#query", words)
    page.keyboard.press("Enter")
    wait_for_page(page, "#heading")


def titles(page: Any) -> list[str]:
    return page.locator(f"{CARDS} h2").all_inner_texts()


def overflow(page: Any) -> int:
    return page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")


def choose_filter(page: Any, value: str) -> int:
    """Tick a facet value; returns the count beside it."""
    label = page.locator("label.facet-option", has_text=value)
    count = int(label.locator(".count").inner_text())
    label.locator("input").check()
    return count


def test_text_search(page: Any) -> None:
    search(page, "red wool bag")
    assert page.locator("h1").inner_text() == "“red wool bag”"
    assert page.locator(CARDS).count() == 24
    match = page.locator(f"{CARDS} .match").first
    assert match.inner_text().strip() in ("Strong match", "Fair match", "Weak match")
    assert re.fullmatch(r"\d+ % match", match.get_attribute("title"))
    page.wait_for_load_state("networkidle")
    shown = page.evaluate(
        "[...document.querySelectorAll('.photo img')].slice(0, 4).every((image) => image.naturalWidth)"
    )
    assert shown and page.locator(".missing").count() == 0


def test_suggestions_by_keyboard_correct_a_typo(page: Any) -> None:
    page.goto("")
    page.locator("#query").press_sequentially("blue wol")
    page.wait_for_selector("#suggestions li")
    assert page.locator("#query").get_attribute("aria-expanded") == "true"
    page.keyboard.press("ArrowDown")
    chosen = page.locator("#suggestions [aria-selected=true]")
    assert chosen.inner_text() == page.input_value("#query") == "blue wool"
    assert page.locator("#query").get_attribute("aria-activedescendant") == chosen.get_attribute("id")
    page.keyboard.press("Escape")
    assert page.locator("#suggestions").is_hidden()
    page.keyboard.press("Enter")
    wait_for_page(page, "h1:has-text('blue wool')")


def test_a_misspelt_query_gets_a_correction(page: Any) -> None:
    search(page, "purpel bag")
    page.click("text=purple bag")
    wait_for_page(page, "h1:has-text('purple bag')")
    assert page.locator(".correction").count() == 0


def test_photo_search(page: Any, photo: Path) -> None:
    page.goto("")
    page.set_input_files("#photo", photo)
    wait_for_page(page, "h1:has-text('Like your photo')")
    assert page.locator(CARDS).count() == 24
    page.wait_for_load_state("load")
    assert page.locator(".query-image img").evaluate("(image) => image.naturalWidth") == 300
    first = titles(page)
    page.reload()
    assert titles(page) == first
    page.click("[aria-label='Search without the photo']")
    wait_for_page(page, ".pitch")


def test_a_dropped_photo_is_searched_for(page: Any, photo: Path) -> None:
    page.goto("")
    script = """(bytes) => {
        const data = new DataTransfer();
        data.items.add(new File([new Uint8Array(bytes)], "red.png", { type: "image/png" }));
        return data;
    }"""
    data = page.evaluate_handle(script, [*photo.read_bytes()])
    page.dispatch_event("main", "dragenter", {"dataTransfer": data})
    assert page.locator(".drop-target").is_visible()
    page.dispatch_event("main", "drop", {"dataTransfer": data})
    wait_for_page(page, "h1:has-text('Like your photo')")


def test_text_and_photo(page: Any, photo: Path) -> None:
    search(page, "blue")
    words_alone = page.locator(f"{CARDS} .match").all_inner_texts()
    page.set_input_files("#photo", photo)
    wait_for_page(page, ".kicker:has-text('Like your photo')")
    assert page.locator("h1").inner_text() == "“blue”" and page.locator(".query-image").count() == 1
    assert page.locator(f"{CARDS} .match").all_inner_texts() != words_alone
    page.fill("#query", "green")  # another text, the same photo
    page.keyboard.press("Enter")
    wait_for_page(page, "h1:has-text('green')")
    assert page.locator(".query-image").count() == 1


def test_filters_show_as_many_products_as_they_count(page: Any) -> None:
    search(page, "bag")
    assert page.locator(".tools [role=status]").inner_text() == f"{PRODUCTS} products"
    assert choose_filter(page, "Evening") == 18
    wait_for_page(page, "text=18 products")
    assert page.locator(CARDS).count() == 18
    assert choose_filter(page, "Silk") == 6
    wait_for_page(page, "text=6 products")
    assert all("silk ellipse" in title for title in titles(page))
    page.wait_for_function("document.activeElement.value === 'fabric=silk'")  # the keyboard focus survives the reload
    page.click("[aria-label='Remove the filter Category: Evening']")
    wait_for_page(page, "text=12 products")
    page.fill("[name='to:price']", "60")
    page.keyboard.press("Enter")
    wait_for_page(page, "[aria-label='Remove the filter Price: up to 60']")
    assert page.locator(CARDS).count() == 1  # product 6, the first one of silk


def test_excluded_words(page: Any) -> None:
    search(page, "bag")
    page.fill("[name=avoid]", "wool")
    page.keyboard.press("Enter")
    page.wait_for_url("**avoid=wool**")
    assert page.input_value("[name=avoid]") == "wool"
    assert page.locator(CARDS).count() > 0


def test_sorted_by_name_and_by_number(page: Any) -> None:
    search(page, "bag")
    page.select_option("[name=sort]", "title")
    page.wait_for_url("**sort=title**")
    assert titles(page) == sorted(titles(page), key=str.lower)
    page.select_option("[name=sort]", label="Price: high to low")
    page.wait_for_url("**sort=-price**")
    assert titles(page)[0] == "black linen rectangle bag"  # the last and most expensive


def test_hovering_explains_a_hit(page: Any) -> None:
    search(page, "red wool")
    card = page.locator(CARDS).first
    card.locator(".photo").hover()
    card.locator(".explanation button").first.wait_for()
    assert [text.split()[0] for text in card.locator(".explanation button").all_inner_texts()] == ["red", "wool"]
    assert card.locator("svg.overlay g rect").count() > 0
    card.locator(".explanation button").last.hover()
    assert card.locator(".explanation button[aria-pressed=true]").inner_text().startswith("wool")
    width = card.locator("img").evaluate("(image) => image.naturalWidth")
    for rectangle in card.locator("svg.overlay g rect").all():
        assert 0 <= float(rectangle.get_attribute("x")) <= width
        assert 0 < float(rectangle.get_attribute("fill-opacity")) <= 1
    page.locator("h1").hover()
    card.locator(".explanation").wait_for(state="detached")


def test_explanations_work_by_keyboard_and_are_announced(page: Any) -> None:
    search(page, "red wool")
    why = page.locator(".why").first
    why.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector(".explanation button")
    assert why.get_attribute("aria-expanded") == "true"
    page.wait_for_function("document.getElementById('announcements').textContent.includes('wool: ')")
    assert re.search(r"red: \d+ percent, (at the|in the)", page.locator("#announcements").inner_text())
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('.explanation') !== null")
    page.keyboard.press("Escape")
    assert page.locator(".explanation").count() == 0 and why.get_attribute("aria-expanded") == "false"


def test_a_failed_explanation_shows_the_error(browser: Any, site: Any) -> None:
    page, _ = open_page(browser, site)
    search(page, "red wool")
    page.wait_for_load_state("networkidle")  # the page's own requests are done
    problem = '{"detail": "too many searches are waiting; try again in a second"}'
    page.route("**/why**", lambda route: route.fulfill(status=503, content_type="application/json", body=problem))
    page.locator(".why").first.click()
    page.wait_for_selector(".explanation:has-text('too many searches')")
    page.context.close()


def test_similar_products_with_a_variation(page: Any) -> None:
    search(page, "red wool ellipse bag")
    title = titles(page)[0]
    page.locator(f"{CARDS} >> text=More like this").first.click()
    wait_for_page(page, ".kicker:has-text('More like')")
    assert page.locator("h1").inner_text() == title
    assert title not in titles(page) and page.locator(CARDS).count() == 24
    page.fill("#query", "but blue")
    page.keyboard.press("Enter")
    wait_for_page(page, "h1:has-text('but blue')")
    assert page.locator(".query-image img").count() == 1


def test_the_page_of_a_product(page: Any) -> None:
    search(page, "red wool ellipse bag")
    page.goto("product?id=bag%2F0&q=red+wool")
    assert page.locator("h1").inner_text() == "red wool ellipse bag"
    assert page.locator(".gallery img").count() == 2
    assert page.locator(".reasons li").all_inner_texts()[0].startswith("red")
    assert page.locator(f".similar {CARDS}").count() > 0
    page.click("dd >> text=Wool")
    wait_for_page(page, "[aria-label='Remove the filter Fabric: Wool']")
    assert page.locator(".tools [role=status]").inner_text() == "12 products"


def test_paging_shows_every_product_once(page: Any) -> None:
    search(page, "bag")
    first = titles(page)
    page.click("text=Next")
    wait_for_page(page, "text=Page 2 of 2")
    assert len(first) == 24 and sorted({*first, *titles(page)}) == sorted([*first, *titles(page)])
    assert len(first) + len(titles(page)) == PRODUCTS
    assert page.locator("[rel=next]").count() == 0
    page.click("text=Previous")
    wait_for_page(page, "text=Page 1 of 2")
    assert titles(page) == first


def test_an_empty_result_shows_the_reason_and_a_way_out(page: Any) -> None:
    page.goto("?q=bag&filter=colour%3Dpink")
    assert page.locator("h2 >> text=Nothing found").is_visible()
    assert "filters" in page.locator(".state .lead").inner_text()
    page.click("text=Search without filters")
    wait_for_page(page, f"text={PRODUCTS} products")


def test_errors_are_shown_as_pages(browser: Any, site: Any, tmp_path: Path) -> None:
    page, _ = open_page(browser, site)
    assert page.goto("?q=bag&filter=pink").status == 400
    assert "NAME=VALUE" in page.locator("[role=alert]").inner_text()
    assert page.goto("?photo=gone").status == 400
    assert "choose it again" in page.locator("[role=alert]").inner_text()
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n" + b"not at all")
    page.set_input_files("#photo", broken)
    wait_for_page(page, "[role=alert]:has-text('cannot be read')")
    page.click("text=Start over")
    wait_for_page(page, ".pitch")
    page.context.close()


@pytest.mark.parametrize("path", ["", "?q=red+wool+bag", "product?id=bag%2F0&q=red", "docs", "?q=a&filter=colour%3Dx"])
def test_nothing_overflows_a_phone(phone: Any, path: str) -> None:
    phone.goto(path)
    assert overflow(phone) == 0


def test_a_phone_shows_filters_in_a_sheet_and_explanations_by_tap(phone: Any) -> None:
    search(phone, "red bag")
    assert phone.locator("label.facet-option").first.is_hidden()
    phone.tap(".refine")
    choose_filter(phone, "Evening")
    phone.tap(".apply button")
    wait_for_page(phone, "text=18 products")
    assert phone.locator("label.facet-option").first.is_hidden()
    columns = phone.locator(CARDS).evaluate_all("(cards) => new Set(cards.map((card) => card.offsetLeft)).size")
    assert columns == 2
    phone.locator(".why").first.tap()
    phone.wait_for_selector(".explanation button")
    phone.locator(".why").first.tap()
    assert phone.locator(".explanation").count() == 0


def test_without_scripts_everything_but_suggestions_works(plain: Any, photo: Path) -> None:
    search(plain, "red bag")
    assert plain.locator(CARDS).count() == 24
    choose_filter(plain, "Evening")
    plain.click(".apply button")
    wait_for_page(plain, "text=18 products")
    plain.set_input_files("#photo", photo)
    plain.click("text=Search with this photo")
    wait_for_page(plain, ".kicker:has-text('Like your photo')")
    plain.goto("product?id=bag%2F0&q=red+wool")
    assert plain.locator(".reasons svg").count() == 2


def test_keyboard_and_screen_reader(page: Any) -> None:
    search(page, "red bag")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the products"
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "query"
    nameless = """() => [...document.querySelectorAll("a, button, input:not([type=hidden]), select")].filter((each) =>
        !each.closest("[aria-hidden=true]") &&
        !(each.ariaLabel || each.labels?.length || each.textContent.trim()))
        .map((each) => each.outerHTML)"""
    assert page.evaluate(nameless) == []
    assert page.locator("h1").count() == 1 and page.locator("main").count() == 1
    assert page.locator("img:not([alt])").count() == 0


def test_light_and_dark(browser: Any, site: Any) -> None:
    shades = {}
    for scheme in ("light", "dark"):
        page, _ = open_page(browser, site, color_scheme=scheme)
        page.goto("")
        shades[scheme] = page.evaluate("getComputedStyle(document.body).backgroundColor")
        page.context.close()
    assert shades == {"light": "rgb(255, 255, 255)", "dark": "rgb(21, 19, 17)"}


def test_recent_searches_are_suggested_in_an_empty_box_and_can_be_forgotten(page: Any) -> None:
    for words in ("red bag", "blue wool", "Red bag"):
        search(page, words)
    page.goto("")
    page.click("#query")
    assert page.locator("#suggestions li").all_inner_texts() == ["Red bag", "blue wool"]
    assert page.locator("#suggestions").get_attribute("aria-label") == "Recent searches"
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    wait_for_page(page, "h1:has-text('blue wool')")
    page.goto("")
    page.click("#query")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "query" and page.locator("#suggestions").is_hidden()
    page.click("#query")
    assert page.locator("#suggestions").is_hidden()


def test_chips_show_what_was_understood_and_search_without_it(page: Any) -> None:
    search(page, "red bag without wool under 100")
    chips = page.locator(".understood li")
    assert [" ".join(text.split()) for text in chips.all_inner_texts()] == [
        "Without wool",
        "Price up to 100",
        "Best with colour Red",
    ]
    page.click("[aria-label='Search without Price: up to 100']")
    page.wait_for_url("**avoid=wool**")  # what else was understood is kept, in the form's own fields
    wait_for_page(page, ".understood")
    assert page.input_value("[name=avoid]") == "wool" and page.input_value("#query") == "red bag"
    assert [" ".join(text.split()) for text in chips.all_inner_texts()] == ["Best with colour Red"]


def test_pinned_products_come_first_below_the_banner(page: Any) -> None:
    search(page, "party bag")
    assert titles(page)[:2] == ["black linen rectangle bag", "green silk ellipse bag"]
    assert page.locator(".banner").inner_text() == "Ready for the night"
    page.click("text=Next")
    wait_for_page(page, "text=Page 2 of 2")
    assert not {"black linen rectangle bag", "green silk ellipse bag"} & set(titles(page))
    search(page, "bag")
    assert page.locator(".banner").count() == 0


def test_a_redirect_leads_to_its_page_also_from_the_search_box(page: Any) -> None:
    page.goto("?q=returns")
    page.wait_for_url("**/docs")
    page.goto("")
    page.fill("#query", "returns")
    page.keyboard.press("Enter")
    page.wait_for_url("**/docs")
    wait_for_page(page, "h1")


def test_error_pages_have_the_catalogue_s_direction(browser: Any, arabic_site: Site) -> None:
    page, _ = open_page(browser, arabic_site, viewport={"width": 375, "height": 740})
    assert page.goto("?q=x&filter=pink").status == 400  # the first page of all: nothing has been read of the catalogue
    assert page.evaluate("document.documentElement.dir") == "rtl" and overflow(page) == 0
    heading, alert = (page.locator(each).bounding_box() for each in ("h1", "[role=alert]"))
    assert abs(heading["x"] + heading["width"] / 2 - alert["x"] - alert["width"] / 2) < 2
    assert page.locator("h1").evaluate("(each) => getComputedStyle(each).textAlign") == "center"
    page.context.close()


def test_a_catalogue_written_from_right_to_left_mirrors_the_page(browser: Any, arabic_site: Site) -> None:
    page, visit = open_page(browser, arabic_site)
    search(page, "حقيبة حمراء")
    assert page.evaluate("document.documentElement.dir") == "rtl"
    brand, camera = (page.locator(each).first.bounding_box() for each in (".top .brand", ".photo-form label"))
    assert brand["x"] > camera["x"] and overflow(page) == 0
    facets, cards = (page.locator(each).first.bounding_box() for each in (".facets", ".grid"))
    assert facets["x"] > cards["x"]
    label, choice = (page.locator(each).bounding_box() for each in (".sort span", ".sort select"))
    assert label["x"] > choice["x"]
    page.locator(f"{CARDS} h2 a").first.click()
    wait_for_page(page, ".crumbs .icon")
    arrow, crumb = (page.locator(each).first.bounding_box() for each in (".crumbs .icon", ".crumbs a"))
    assert arrow["x"] > crumb["x"] + crumb["width"] / 2
    page.context.close()
    assert visit.errors == []
