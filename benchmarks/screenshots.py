"""Screenshots of the search application for docs/images, from a running service on the synthetic catalogue.

kaleidobert serve --store STORE &  then:  python benchmarks/screenshots.py http://127.0.0.1:8000/ --photo shoe.png

--arabic is a second service, on the catalogue of benchmarks/arabic_catalogue.py; given alone, only its picture is made.
"""

from __future__ import annotations

import argparse
import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

DESKTOP, PHONE = {"width": 1280, "height": 860}, {"width": 390, "height": 844}
ON_DESKTOP: dict[str, Any] = {"viewport": DESKTOP}
ON_PHONE: dict[str, Any] = {"viewport": PHONE, "has_touch": True, "is_mobile": True}
SPACE = 24  # pixels between phones


def why(page: Page) -> None:
    page.locator(".card .photo").first.hover()
    page.wait_for_selector(".overlay")


def tap_why(page: Page) -> None:
    page.locator(".why").first.tap()
    page.wait_for_selector(".overlay")


def open_filters(page: Page) -> None:
    page.tap(".refine")


def open_first(page: Page) -> None:
    page.locator(".card h2 a").first.click()
    page.wait_for_load_state("networkidle")


def picture(browser: Browser, address: str, act: Callable[[Page], Any] | None = None, **settings: Any) -> Image.Image:
    """A screenshot of the page after ``act``."""
    context = browser.new_context(**settings)
    page = context.new_page()
    page.goto(address)
    page.wait_for_load_state("networkidle")
    if act:
        act(page)
    page.wait_for_timeout(400)  # until transitions have ended
    image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    context.close()
    return image


def side_by_side(images: list[Image.Image]) -> Image.Image:
    width = sum(image.width for image in images) + SPACE * (len(images) - 1)
    sheet = Image.new("RGB", (width, max(image.height for image in images)), "#d9d4cc")
    left = 0
    for image in images:
        sheet.paste(image, (left, 0))
        left += image.width + SPACE
    return sheet


def shop_pictures(browser: Browser, options: argparse.Namespace) -> dict[str, Image.Image]:
    results = options.address + "?q=" + options.query.replace(" ", "+")

    def send_photo(page: Page) -> None:
        page.fill("#query", options.with_photo)
        page.set_input_files("#photo", options.photo)
        page.wait_for_selector(".query-image")
        page.wait_for_load_state("networkidle")

    return {
        "shop-start": picture(browser, options.address, **ON_DESKTOP),
        "search-page": picture(browser, results, why, **ON_DESKTOP),
        "shop-dark": picture(browser, results, why, color_scheme="dark", **ON_DESKTOP),
        "shop-photo": picture(browser, options.address, send_photo, **ON_DESKTOP),
        "shop-product": picture(browser, results, open_first, viewport={"width": 1280, "height": 1400}),
        "shop-phone": side_by_side(
            [
                picture(browser, options.address, **ON_PHONE),
                picture(browser, results, tap_why, **ON_PHONE),
                picture(browser, results, open_filters, **ON_PHONE),
            ]
        ),
    }


def arabic_picture(browser: Browser, address: str, query: str) -> Image.Image:
    results = address + "?q=" + quote_plus(query)
    return side_by_side([picture(browser, results, **ON_DESKTOP), picture(browser, results, **ON_PHONE)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address", nargs="?")
    parser.add_argument("--photo", type=Path, help="a shopper's photo")
    parser.add_argument("--arabic", help="the address of a service with an Arabic catalogue")
    parser.add_argument("--arabic-query", default="حقيبة باللون الأحمر")
    parser.add_argument("--query", default="navy striped sweater")
    parser.add_argument("--with-photo", default="in red", help="the text of the photo query")
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    parser.add_argument("--chromium", default=shutil.which("chromium"))
    options = parser.parse_args()
    if bool(options.address) != bool(options.photo) or not (options.address or options.arabic):
        parser.error("give the address of a service and --photo, --arabic, or all of them")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=options.chromium, args=["--no-sandbox"])
        taken = shop_pictures(browser, options) if options.address else {}
        if options.arabic:
            taken["shop-arabic"] = arabic_picture(browser, options.arabic, options.arabic_query)
        browser.close()
    for name, image in taken.items():
        image.save(options.out / f"{name}.png", optimize=True)
        print(options.out / f"{name}.png")


if __name__ == "__main__":
    main()
