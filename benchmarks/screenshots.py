"""Screenshots of the search application for docs/images, from a running service on the synthetic catalogue.

kaleidobert serve --store STORE &  then:  python benchmarks/screenshots.py http://127.0.0.1:8000/ --photo shoe.png
"""

from __future__ import annotations

import argparse
import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

DESKTOP, PHONE = {"width": 1280, "height": 860}, {"width": 390, "height": 844}
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address")
    parser.add_argument("--photo", type=Path, required=True, help="a shopper's photo")
    parser.add_argument("--query", default="navy striped sweater")
    parser.add_argument("--with-photo", default="in red", help="the text of the photo query")
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    parser.add_argument("--chromium", default=shutil.which("chromium"))
    options = parser.parse_args()
    results = options.address + "?q=" + options.query.replace(" ", "+")

    def send_photo(page: Page) -> None:
        page.fill("#query", options.with_photo)
        page.set_input_files("#photo", options.photo)
        page.wait_for_selector(".query-image")
        page.wait_for_load_state("networkidle")

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=options.chromium, args=["--no-sandbox"])
        desktop, phone = {"viewport": DESKTOP}, {"viewport": PHONE, "has_touch": True, "is_mobile": True}
        taken = {
            "shop-start": picture(browser, options.address, **desktop),
            "search-page": picture(browser, results, why, **desktop),
            "shop-dark": picture(browser, results, why, color_scheme="dark", **desktop),
            "shop-photo": picture(browser, options.address, send_photo, **desktop),
            "shop-product": picture(browser, results, open_first, viewport={"width": 1280, "height": 1400}),
            "shop-phone": side_by_side(
                [
                    picture(browser, options.address, **phone),
                    picture(browser, results, tap_why, **phone),
                    picture(browser, results, open_filters, **phone),
                ]
            ),
        }
        browser.close()
    for name, image in taken.items():
        image.save(options.out / f"{name}.png", optimize=True)
        print(options.out / f"{name}.png")


if __name__ == "__main__":
    main()
