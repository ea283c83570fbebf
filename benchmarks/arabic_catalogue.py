"""A drawn catalogue in Arabic, to look at pages that are written from right to left.

python benchmarks/arabic_catalogue.py arabic/ --count 300  then: pretrain, index and serve arabic/ as any catalogue
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path

from kaleidobert.synthetic.catalogue import generate

CATEGORIES = {
    "Tops": "ملابس علوية",
    "Bottoms": "ملابس سفلية",
    "Dresses": "فساتين",
    "Outerwear": "معاطف وسترات",
    "Footwear": "أحذية",
    "Bags": "حقائب",
    "Accessories": "إكسسوارات",
}
KINDS = {
    "T-Shirts": "تيشيرت",
    "Tank Tops": "قميص بلا أكمام",
    "Shirts": "قميص",
    "Polo Shirts": "قميص بولو",
    "Blouses": "بلوزة",
    "Sweaters": "كنزة",
    "Cardigans": "كارديجان",
    "Hoodies": "هودي",
    "Jeans": "بنطال جينز",
    "Trousers": "بنطال",
    "Joggers": "بنطال رياضي",
    "Shorts": "شورت",
    "Skirts": "تنورة",
    "Day Dresses": "فستان يومي",
    "Shirt Dresses": "فستان قميص",
    "Sundresses": "فستان صيفي",
    "Bomber Jackets": "سترة بومبر",
    "Denim Jackets": "سترة جينز",
    "Leather Jackets": "سترة جلدية",
    "Blazers": "بليزر",
    "Puffer Jackets": "سترة منفوخة",
    "Coats": "معطف",
    "Trench Coats": "معطف ترنش",
    "Sneakers": "حذاء رياضي",
    "Boots": "حذاء برقبة",
    "Heels": "حذاء بكعب عالٍ",
    "Sandals": "صندل",
    "Loafers": "حذاء لوفر",
    "Handbags": "حقيبة يد",
    "Tote Bags": "حقيبة تسوّق",
    "Crossbody Bags": "حقيبة كتف",
    "Backpacks": "حقيبة ظهر",
    "Caps": "قبعة بيسبول",
    "Beanies": "قبعة صوفية",
    "Sun Hats": "قبعة شمس",
    "Belts": "حزام",
    "Scarves": "وشاح",
    "Sunglasses": "نظارة شمسية",
    "Watches": "ساعة يد",
}
COLOURS = {
    "black": "أسود",
    "white": "أبيض",
    "grey": "رمادي",
    "navy": "كحلي",
    "blue": "أزرق",
    "red": "أحمر",
    "green": "أخضر",
    "yellow": "أصفر",
    "pink": "وردي",
    "purple": "بنفسجي",
    "brown": "بني",
    "beige": "بيج",
}
PATTERNS = {
    "stripes": "بخطوط",
    "checks": "بمربعات",
    "dots": "بنقاط",
    "floral": "بأزهار",
    "colour-block": "بلونين",
}


def title_of(kind: str, attributes: Mapping[str, str]) -> str:
    """Such as "a skirt with stripes, in blue", which needs no agreement of gender."""
    pattern = PATTERNS.get(attributes["pattern"], "")
    return " ".join(filter(None, [KINDS[kind], pattern, "باللون", definite(COLOURS[attributes["colour"]])]))


def definite(colour: str) -> str:
    return colour if colour == "بيج" else "ال" + colour


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    with (options.folder / "catalogue.jsonl").open("w", encoding="utf-8") as lines:
        for number, product in enumerate(generate(options.count, options.seed)):
            (options.folder / f"{product.id}.jpg").write_bytes(bytes(product.images[0]))
            row = {
                "id": product.id,
                "image": f"{product.id}.jpg",
                "title": title_of(product.subcategory, product.attributes),
                "category": CATEGORIES[product.category],
                "subcategory": KINDS[product.subcategory],
                "اللون": COLOURS[product.attributes["colour"]],
                "price": 40 + 10 * (number * 7 % 30),
            }
            lines.write(json.dumps(row, ensure_ascii=False) + "\n")
    print(options.folder / "catalogue.jsonl")


if __name__ == "__main__":
    main()
