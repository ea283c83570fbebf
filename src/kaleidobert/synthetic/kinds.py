"""The product types and the possible values of their attributes."""

from __future__ import annotations

from kaleidobert.synthetic.look import Kind

from . import accessories, bags, bottoms, footwear, headwear, outerwear, shoes, skirts, tops

DENIM = ("blue", "navy", "black", "grey", "white")
LEATHER = ("black", "brown", "beige", "navy", "red", "grey", "white", "green")
ALL = ("solid", "stripes", "checks", "dots", "floral", "colour-block")
SPORT = ("solid", "solid", "stripes", "colour-block")
SUITING = ("solid", "solid", "checks", "stripes")
PRINTS = ("solid", "dots", "floral", "checks", "stripes")
SOLID = ("solid",)
SHORT_OR_LONG = ("short sleeve", "short sleeve", "long sleeve")

TOPS = (
    Kind("T-Shirts", "Tops", ("t-shirt", "tee"), tops.t_shirt,
         {"sleeve": SHORT_OR_LONG, "neckline": ("crew neck", "v-neck", "scoop neck"),
          "pocket": ("", "chest pocket", "logo:logo print")},
         ALL, ("cotton",), accent="trim", zoom=1.1),
    Kind("Tank Tops", "Tops", ("tank top", "tank"), tops.tank_top,
         {"sleeve": ("sleeveless",), "neckline": ("scoop neck", "v-neck"), "logo": ("", "", "logo print")},
         ALL, ("cotton",), accent="trim", zoom=1.14),
    Kind("Shirts", "Tops", ("shirt", "button-up shirt"), tops.shirt,
         {"sleeve": ("long sleeve", "short sleeve"), "neckline": ("shirt collar",), "closure": ("button front",),
          "pocket": ("", "chest pocket")},
         ALL, ("cotton", "linen"), accent="buttons", zoom=1.08),
    Kind("Polo Shirts", "Tops", ("polo shirt", "polo"), tops.polo,
         {"sleeve": SHORT_OR_LONG, "neckline": ("polo collar",), "closure": ("button placket",),
          "logo": ("", "logo print")},
         SPORT, ("cotton",), accent="collar", zoom=1.1),
    Kind("Blouses", "Tops", ("blouse",), tops.blouse,
         {"sleeve": ("long sleeve", "three-quarter sleeve", "short sleeve"),
          "neckline": ("crew neck", "v-neck", "boat neck"), "detail": ("", "bow", "ruffles")},
         PRINTS, ("chiffon", "satin", "cotton"), zoom=1.1),
    Kind("Sweaters", "Tops", ("sweater", "jumper"), tops.sweater,
         {"sleeve": ("long sleeve",), "neckline": ("crew neck", "v-neck", "turtleneck")},
         SPORT, ("knit",), accent="ribbing", zoom=1.1),
    Kind("Cardigans", "Tops", ("cardigan",), tops.sweater,
         {"sleeve": ("long sleeve", "three-quarter sleeve"), "neckline": ("v-neck", "crew neck"),
          "closure": ("button front",)},
         SPORT, ("knit",), accent="ribbing", zoom=1.1),
    Kind("Hoodies", "Tops", ("hoodie", "hooded sweatshirt"), tops.hoodie,
         {"sleeve": ("long sleeve",), "hood": ("drawstring hood",), "pocket": ("", "kangaroo pocket"),
          "closure": ("", "zip", "logo:logo print")},
         SPORT, ("cotton",), accent="cuffs and hem", zoom=1.08, y=0.12),
)  # fmt: skip

BOTTOMS = (
    Kind("Jeans", "Bottoms", ("jeans", "denim jeans"), bottoms.jeans,
         {"cut": ("slim", "straight", "wide"), "length": ("full-length", "cropped"),
          "detail": ("", "", "ripped knees"), "belt": ("", "", "belt")},
         SOLID, ("denim",), DENIM, trims=("brown", "black"), plural=True),
    Kind("Trousers", "Bottoms", ("trousers", "pants"), bottoms.trousers,
         {"cut": ("slim", "straight", "wide"), "length": ("full-length", "cropped"), "belt": ("", "belt"),
          "pocket": ("side pockets",)},
         SUITING, ("wool", "linen", "cotton"), trims=("brown", "black"), plural=True),
    Kind("Joggers", "Bottoms", ("joggers", "sweatpants"), bottoms.joggers,
         {"length": ("full-length",), "waist": ("drawstring waist",), "pocket": ("", "side pockets"),
          "detail": ("", "side stripes")},
         ("solid", "solid", "colour-block"), ("cotton",), accent="waistband and cuffs", block=(-0.4, 0.6), plural=True),
    Kind("Shorts", "Bottoms", ("shorts",), bottoms.shorts,
         {"closure": ("drawstring", "button fly"), "pocket": ("side pockets",), "belt": ("", "", "belt")},
         ALL, ("cotton", "denim", "linen"), trims=("brown", "white"), block=(-1.05, -0.5), plural=True),
    Kind("Skirts", "Bottoms", ("skirt",), skirts.skirt,
         {"cut": ("a-line", "pencil", "pleated", "flared"), "length": ("mini", "knee-length", "midi", "maxi"),
          "closure": ("", "", "button front"), "pocket": ("", "", "side pockets"), "belt": ("", "", "belt")},
         ALL, ("cotton", "wool", "satin", "suede"), trims=("brown", "black")),
)  # fmt: skip

_SKIRT_PART = {"cut": ("a-line", "flared", "pleated"), "length": ("mini", "knee-length", "midi", "maxi")}
DRESSES = (
    Kind("Day Dresses", "Dresses", ("dress", "day dress"), skirts.dress,
         {"sleeve": ("short sleeve", "long sleeve", "three-quarter sleeve", "sleeveless"),
          "neckline": ("crew neck", "v-neck", "scoop neck", "square neck", "boat neck"), **_SKIRT_PART,
          "belt": ("", "", "belt"), "pocket": ("", "", "side pockets")},
         ALL, ("cotton", "satin", "linen"), trims=("brown", "black", "white"), block=(0.18, 0.18)),
    Kind("Shirt Dresses", "Dresses", ("shirt dress",), skirts.dress,
         {"sleeve": ("short sleeve", "long sleeve"), "neckline": ("shirt collar",), "closure": ("button front",),
          "cut": ("a-line", "flared"), "length": ("knee-length", "midi"), "belt": ("", "belt")},
         ("solid", "stripes", "checks", "floral"), ("cotton", "denim", "linen"),
         trims=("brown", "black", "white"), block=(0.18, 0.18)),
    Kind("Sundresses", "Dresses", ("sundress", "strappy dress"), skirts.dress,
         {"sleeve": ("sleeveless",), "neckline": ("spaghetti straps",), **_SKIRT_PART,
          "detail": ("", "ruffled hem"), "belt": ("", "", "belt")},
         PRINTS, ("cotton", "chiffon", "satin"), trims=("brown", "white")),
)  # fmt: skip

OUTERWEAR = (
    Kind("Bomber Jackets", "Outerwear", ("bomber jacket", "bomber"), outerwear.bomber,
         {"sleeve": ("long sleeve",), "neckline": ("ribbed collar",), "closure": ("zip",),
          "pocket": ("", "slanted pockets")},
         ("solid", "solid", "colour-block", "floral"), ("nylon", "satin"), accent="ribbing", zoom=1.1, y=0.06),
    Kind("Denim Jackets", "Outerwear", ("denim jacket", "jean jacket"), outerwear.denim_jacket,
         {"sleeve": ("long sleeve",), "closure": ("button front",), "pocket": ("", "chest pockets")},
         SOLID, ("denim",), DENIM, zoom=1.1, y=0.08),
    Kind("Leather Jackets", "Outerwear", ("leather jacket", "biker jacket"), outerwear.biker,
         {"sleeve": ("long sleeve",), "neckline": ("wide lapels",), "closure": ("zip",), "pocket": ("", "zip pockets")},
         SOLID, ("leather",), ("black", "brown", "red", "beige", "white"), zoom=1.1, y=0.1),
    Kind("Blazers", "Outerwear", ("blazer",), outerwear.blazer,
         {"sleeve": ("long sleeve",), "neckline": ("notched lapels",), "closure": ("one-button", "two-button"),
          "pocket": ("", "flap pockets")},
         SUITING, ("wool", "linen"), trims=("brown", "black"), zoom=1.08),
    Kind("Puffer Jackets", "Outerwear", ("puffer jacket", "quilted jacket"), outerwear.puffer,
         {"sleeve": ("long sleeve", "long sleeve", "sleeveless"), "neckline": ("high collar", "hood:hood"),
          "closure": ("zip",), "pocket": ("", "slanted pockets")},
         SOLID, ("nylon",), zoom=1.06, y=0.12),
    Kind("Coats", "Outerwear", ("coat", "overcoat"), outerwear.coat,
         {"sleeve": ("long sleeve",), "neckline": ("notched lapels",), "closure": ("single-breasted",),
          "length": ("knee-length",), "pocket": ("", "flap pockets"), "belt": ("", "", "tie belt")},
         SUITING, ("wool",), trims=("brown", "black")),
    Kind("Trench Coats", "Outerwear", ("trench coat", "trench"), outerwear.coat,
         {"sleeve": ("long sleeve",), "neckline": ("notched lapels",), "closure": ("double-breasted",),
          "length": ("knee-length",), "pocket": ("flap pockets",), "belt": ("tie belt",)},
         SOLID, ("cotton",), ("beige", "black", "navy", "grey", "green", "red", "brown"), trims=("brown", "black")),
)  # fmt: skip

FOOTWEAR = (
    Kind("Sneakers", "Footwear", ("sneakers", "trainers"), footwear.sneakers,
         {"height": ("low-top", "high-top"), "closure": ("laces",), "detail": ("", "side stripes")},
         SOLID, ("leather", "canvas", "suede"), accent="heel tab", plural=True, stands=True),
    Kind("Boots", "Footwear", ("boots",), footwear.boots,
         {"height": ("ankle", "ankle", "knee-high"), "closure": ("laces", "zip", "elastic panel"),
          "detail": ("", "", "buckle")},
         SOLID, ("leather", "suede"), LEATHER, plural=True, stands=True),
    Kind("Heels", "Footwear", ("heels", "pumps"), shoes.heels,
         {"heel": ("stiletto heel", "block heel", "kitten heel"), "strap": ("", "ankle strap"),
          "detail": ("", "", "bow")},
         ("solid", "solid", "dots", "floral"), ("leather", "suede", "satin"), accent="heel", plural=True, stands=True),
    Kind("Sandals", "Footwear", ("sandals", "strappy sandals"), shoes.sandals,
         {"heel": ("flat sole", "wedge heel"), "strap": ("ankle strap",), "detail": ("", "buckle")},
         ("solid", "solid", "stripes"), ("leather", "suede"), plural=True, stands=True),
    Kind("Loafers", "Footwear", ("loafers", "slip-on loafers"), shoes.loafers,
         {"heel": ("flat sole",), "detail": ("tassels", "horsebit")},
         SOLID, ("leather", "suede"), LEATHER, plural=True, stands=True),
)  # fmt: skip

BAGS = (
    Kind("Handbags", "Bags", ("handbag", "top-handle bag"), bags.handbag,
         {"strap": ("top handle",), "closure": ("clasp", "zip"), "detail": ("", "quilted"), "pocket": ("",)},
         SOLID, ("leather", "suede"), accent="handle", zoom=1.1, stands=True),
    Kind("Tote Bags", "Bags", ("tote bag", "tote"), bags.tote,
         {"strap": ("two handles",), "pocket": ("", "front pocket", "logo:logo print")},
         ALL, ("canvas",), accent="handles", zoom=1.1, stands=True),
    Kind("Crossbody Bags", "Bags", ("crossbody bag", "shoulder bag"), bags.crossbody,
         {"strap": ("chain strap", "long strap"), "closure": ("clasp", "zip"), "detail": ("", "quilted", "tassels")},
         ("solid", "solid", "floral", "checks"), ("leather", "suede"),
         trims=("black", "brown", "beige"), zoom=1.02, y=0.12, stands=True),
    Kind("Backpacks", "Bags", ("backpack", "rucksack"), bags.backpack,
         {"strap": ("shoulder straps",), "closure": ("zip", "flap"), "pocket": ("", "front pocket", "logo:logo print")},
         ("solid", "solid", "stripes", "checks", "floral", "dots", "colour-block"), ("nylon", "canvas"),
         accent="straps", zoom=1.04, stands=True),
)  # fmt: skip

ACCESSORIES = (
    Kind("Caps", "Accessories", ("cap", "baseball cap"), headwear.cap, {"logo": ("", "logo print")},
         ("solid", "solid", "checks", "floral", "dots"), ("cotton",), accent="brim", stands=True),
    Kind("Beanies", "Accessories", ("beanie", "knit hat"), headwear.beanie,
         {"cuff": ("turn-up cuff",), "detail": ("", "pompom"), "logo": ("", "", "logo patch")},
         ("solid", "solid", "stripes"), ("knit",), accent="cuff", stands=True),
    Kind("Sun Hats", "Accessories", ("sun hat", "straw hat"), headwear.sun_hat, {"detail": ("ribbon",)},
         SOLID, ("straw",), ("beige", "brown", "white", "black", "pink"),
         accent="ribbon", accent_share=1.0, stands=True),
    Kind("Belts", "Accessories", ("belt", "waist belt"), accessories.belt_coil,
         {"closure": ("buckle",), "detail": ("", "", "studs")},
         SOLID, ("leather", "suede"), LEATHER, zoom=1.06, stands=True),
    Kind("Scarves", "Accessories", ("scarf", "wrap scarf"), accessories.scarf, {"detail": ("", "fringe")},
         ALL, ("wool", "knit", "satin"), y=0.05),
    Kind("Sunglasses", "Accessories", ("sunglasses", "shades"), accessories.sunglasses,
         {"shape": ("round", "aviator", "square"), "lenses": ("tinted lenses",)},
         SOLID, ("rubber",), ("black", "brown", "red", "blue", "white", "pink", "green", "yellow", "purple"),
         trims=("brown", "grey", "green", "blue"), zoom=1.08, plural=True, stands=True),
    Kind("Watches", "Accessories", ("watch", "wristwatch"), accessories.watch,
         {"strap": ("leather strap",), "shape": ("round", "square")},
         SOLID, ("leather",), LEATHER, accent="dial", accent_share=1.0),
)  # fmt: skip

KINDS: tuple[Kind, ...] = TOPS + BOTTOMS + DRESSES + OUTERWEAR + FOOTWEAR + BAGS + ACCESSORIES
