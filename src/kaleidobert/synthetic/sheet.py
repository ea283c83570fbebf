"""A contact sheet of products."""

from __future__ import annotations

from collections.abc import Iterable
from textwrap import wrap

from PIL import Image, ImageDraw, ImageFont

from kaleidobert.data.product import Product

CAPTION_LINES, LINE, MARGIN = 2, 13, 6  # rows of text, pixels per row, pixels between cells


def contact_sheet(products: Iterable[Product], columns: int) -> Image.Image:
    """The products' first views in rows of ``columns``, each with its title below (RGB)."""
    chosen = list(products)
    pictures = [product.open(0) for product in chosen]
    width = max(picture.width for picture in pictures)
    height = max(picture.height for picture in pictures)
    cell = (width + MARGIN, height + CAPTION_LINES * LINE + 2 * MARGIN)
    rows = -(-len(chosen) // columns)
    sheet = Image.new("RGB", (columns * cell[0] + MARGIN, rows * cell[1] + MARGIN), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=11)
    for index, (product, picture) in enumerate(zip(chosen, pictures, strict=True)):
        x, y = MARGIN + index % columns * cell[0], MARGIN + index // columns * cell[1]
        sheet.paste(picture, (x, y))
        for line, text in enumerate(wrap(product.title, max(8, width // 6), max_lines=CAPTION_LINES, placeholder="…")):
            draw.text((x + 2, y + height + 3 + line * LINE), text, fill=(70, 70, 74), font=font)
    return sheet
