"""Titles and descriptions in varied wording, and the part of the drawing that each of their phrases describes."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from kaleidobert.synthetic.look import Look

TAGS = {  # the part of the drawing that an attribute describes, if it does not have the attribute's name
    "colour": "body",
    "pattern": "body",
    "material": "body",
    "second_colour": "accent",
    "neckline": "neck",
    "length": "whole",
    "cut": "whole",
    "height": "body",
    "shape": "body",
}

PATTERNS = {
    "solid": ("plain", "solid"),
    "stripes": ("striped",),
    "checks": ("checked", "check"),
    "dots": ("polka dot", "dotted"),
    "floral": ("floral", "floral print"),
    "colour-block": ("colour-block",),
}

MATERIALS = {
    "cotton": ("soft cotton", "cotton"),
    "linen": ("airy linen", "linen"),
    "wool": ("warm wool", "wool"),
    "knit": ("a soft knit", "a chunky knit"),
    "denim": ("sturdy denim", "denim"),
    "satin": ("smooth satin", "satin"),
    "chiffon": ("light chiffon", "chiffon"),
    "nylon": ("light nylon", "nylon"),
    "leather": ("smooth leather", "leather"),
    "suede": ("soft suede", "suede"),
    "canvas": ("sturdy canvas", "canvas"),
    "straw": ("woven straw", "straw"),
    "rubber": ("light acetate", "acetate"),
}

ADJECTIVES = {  # values that may precede the product's name
    "short sleeve": ("short sleeve", "short-sleeved"),
    "long sleeve": ("long sleeve", "long-sleeved"),
    "three-quarter sleeve": ("three-quarter sleeve",),
    "sleeveless": ("sleeveless",),
    "crew neck": ("crew neck", "round neck"),
    "v-neck": ("v-neck",),
    "scoop neck": ("scoop neck",),
    "square neck": ("square neck",),
    "boat neck": ("boat neck",),
    "turtleneck": ("turtleneck", "roll neck"),
    "slim": ("slim", "slim-fit"),
    "straight": ("straight-leg",),
    "wide": ("wide-leg",),
    "full-length": ("full-length",),
    "cropped": ("cropped",),
    "mini": ("mini",),
    "knee-length": ("knee-length",),
    "midi": ("midi",),
    "maxi": ("maxi",),
    "a-line": ("a-line",),
    "pencil": ("pencil",),
    "pleated": ("pleated",),
    "flared": ("flared",),
    "one-button": ("one-button",),
    "two-button": ("two-button",),
    "single-breasted": ("single-breasted",),
    "double-breasted": ("double-breasted",),
    "low-top": ("low-top",),
    "high-top": ("high-top",),
    "ankle": ("ankle",),
    "knee-high": ("knee-high",),
    "quilted": ("quilted",),
    "round": ("round",),
    "aviator": ("aviator",),
    "square": ("square",),
    "tie belt": ("belted",),
    "belt": ("belted",),
    "zip": ("zip-up",),
    "laces": ("lace-up",),
    "flat sole": ("flat",),
    "stiletto heel": ("stiletto",),
    "fringe": ("fringed",),
    "ripped knees": ("ripped",),
    "studs": ("studded",),
    "pompom": ("pompom",),
    "logo print": ("logo",),
}

NOUNS = {  # wordings after "with"; by default "a" and the value itself
    "short sleeve": ("short sleeves",),
    "long sleeve": ("long sleeves",),
    "three-quarter sleeve": ("three-quarter sleeves",),
    "sleeveless": (),
    "crew neck": ("a crew neck", "a round neckline"),
    "v-neck": ("a v-neck", "a v-neckline"),
    "turtleneck": ("a turtleneck", "a high roll neck"),
    "shirt collar": ("a collar", "a classic collar"),
    "spaghetti straps": ("spaghetti straps", "thin straps"),
    "logo print": ("a logo print", "a logo on the front"),
    "logo patch": ("a logo patch",),
    "chest pocket": ("a chest pocket", "a patch pocket"),
    "button front": ("buttons", "a row of buttons"),
    "zip": ("a zip", "a metal zip"),
    "bow": ("a bow",),
    "slim": ("a slim leg",),
    "straight": ("a straight leg",),
    "wide": ("a wide leg",),
    "mini": ("a short length",),
    "midi": ("a midi length",),
    "maxi": ("a long length",),
    "a-line": ("an a-line shape",),
    "pencil": ("a narrow shape",),
    "pleated": ("pleats",),
    "flared": ("a flared shape",),
    "one-button": ("one button",),
    "two-button": ("two buttons",),
    "single-breasted": ("a single row of buttons",),
    "double-breasted": ("a double row of buttons",),
    "ankle": ("an ankle-high shaft",),
    "knee-high": ("a tall shaft",),
    "elastic panel": ("elastic side panels",),
    "quilted": ("quilted seams",),
    "hood": ("a hood",),
    "laces": ("laces",),
    "fringe": ("fringed ends", "fringes"),
    "pompom": ("a pompom", "a fluffy pompom"),
    "round": ("a round shape",),
    "aviator": ("an aviator shape",),
    "square": ("a square shape",),
    "horsebit": ("a metal bar",),
}
_PLURAL = re.compile(
    r"(straps|sleeves|lapels|pockets|ruffles|stripes|knees|tassels|studs|handles|lenses)$|^(fringe|cropped)"
)
_WITHOUT_NOUN = {"full-length", "cropped", "knee-length", "low-top", "high-top"}
_SMALL = {"with", "in", "and", "a", "an", "on", "the", "of"}

CLOSINGS = {
    "Tops": ("Easy to wear every day.", "A piece for work and weekends.", "Cut for a comfortable fit."),
    "Bottoms": ("Easy to match.", "Comfortable from morning to night.", "A good fit for work and weekends."),
    "Dresses": ("Made for warm evenings.", "Lovely for parties and holidays.", "An easy choice for every day."),
    "Outerwear": ("Keeps the cold out.", "A layer for every season.", "Made for changeable weather."),
    "Footwear": ("Comfortable all day.", "Made to last.", "A pair for every day."),
    "Bags": ("Room for all you need.", "Goes from desk to dinner.", "Made to carry every day."),
    "Accessories": ("A fine gift.", "Finishes any outfit.", "Made to last."),
}


def pick(rng: np.random.Generator, choices: Sequence[str]) -> str:
    """A uniformly random choice."""
    return choices[int(rng.integers(len(choices)))]


def nouns_of(value: str) -> tuple[str, ...]:
    """Wordings of a feature after "with"."""
    if value in NOUNS:
        return NOUNS[value]
    if value in _WITHOUT_NOUN:
        return ()
    if _PLURAL.search(value):
        return (value,)
    return (f"{'an' if value[0] in 'aeiou' else 'a'} {value}",)


def features(look: Look) -> list[str]:
    """The values of all attributes but colours, pattern and material."""
    named = ("colour", "second_colour", "pattern", "material")
    return [value for name, value in look.attributes.items() if name not in named]


def colours(look: Look) -> str:
    """ "navy", or "navy and white" for a pattern of two colours."""
    second = look.get("second_colour")
    return f"{look.get('colour')} and {second}" if second and look.get("pattern") != "solid" else look.get("colour")


def accent(look: Look) -> str:
    """ "white trim" if a detail has the second colour, else ""."""
    second = look.get("second_colour")
    if not second or look.get("pattern") != "solid":
        return ""
    plural = look.kind.accent.endswith("s") or " and " in look.kind.accent or look.kind.accent in ("trim", "ribbing")
    return f"{second} {look.kind.accent}" if plural else f"a {second} {look.kind.accent}"


def capitalised(text: str) -> str:
    """Title case: "v-neck t-shirt in navy" becomes "V-Neck T-Shirt in Navy"."""
    words = [
        word if word in _SMALL and index else "-".join(part[:1].upper() + part[1:] for part in word.split("-"))
        for index, word in enumerate(text.split())
    ]
    return " ".join(words)


def listed(parts: Sequence[str]) -> str:
    """ "a, b and c"."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def sentence(text: str) -> str:
    """The text with a capital first letter and a full stop."""
    return text[:1].upper() + text[1:] + "."


def title_of(look: Look, rng: np.random.Generator) -> str:
    """A short title with the colour and some of the other attributes."""
    words = [ADJECTIVES[value] for value in features(look) if value in ADJECTIVES and rng.random() < 0.6]
    before = " ".join(pick(rng, ways) for ways in words[:3])
    named = look.get("pattern") != "solid" or rng.random() < 0.15
    pattern = pick(rng, PATTERNS[look.get("pattern")]) if named else ""
    name = pick(rng, look.kind.names)
    extra = accent(look) if rng.random() < 0.7 else ""
    if not extra and rng.random() < 0.45:
        left = [value for value in features(look) if value not in ADJECTIVES and nouns_of(value)]
        extra = pick(rng, nouns_of(pick(rng, left))) if left else ""
    after = f"with {extra}" if extra else ""
    order = int(rng.integers(3))
    both = (pattern, colours(look)) if look.get("pattern") == "solid" else (colours(look), pattern)
    if order == 0:
        parts: tuple[str, ...] = (pattern, before, name, "in", colours(look), after)
    elif order == 1:
        parts = (*both, before, name, after)
    else:
        parts = (before, *both, name, after)
    return capitalised(" ".join(part for part in parts if part))


def description_of(look: Look, rng: np.random.Generator) -> str:
    """One to three sentences, worded independently of the title."""
    plural = look.kind.plural
    name = pick(rng, look.kind.names)
    this, be, have = ("these", "are", "have") if plural else ("this", "is", "has")
    material = pick(rng, MATERIALS[look.get("material")])
    pattern = pick(rng, PATTERNS[look.get("pattern")])
    one = f"{pattern} {name}"
    one = one if plural else f"a {one}"
    first = (
        f"{this} {colours(look)} {name} {be} made of {material}",
        f"{one} in {colours(look)}, made of {material}",
        f"made of {material}, {this} {name} {'come' if plural else 'comes'} in {colours(look)}",
        f"{one} in {colours(look)}",
    )
    sentences = [sentence(pick(rng, first))]
    ways = [nouns_of(value) for value in features(look)]
    details = [pick(rng, nouns) for nouns in ways if nouns and rng.random() < 0.7]
    if accent(look) and rng.random() < 0.8:
        last = look.kind.accent.split()[-1]
        details = [detail for detail in details if not detail.endswith(last)] + [accent(look)]
    if details:
        lead = (f"it {have} " if not plural else "they have ", "details include ", "designed with ", "finished with ")
        sentences.append(sentence(pick(rng, lead) + listed(details)))
    if rng.random() < 0.4:
        sentences.append(pick(rng, CLOSINGS[look.kind.category]))
    return " ".join(sentences)


def terms_of(look: Look) -> dict[str, str]:
    """All lower-case phrases that may describe the product, each with the part of the drawing that it describes."""
    terms = {name: "whole" for name in look.kind.names}
    for name, value in look.attributes.items():
        tag = TAGS.get(name, name)
        phrases: tuple[str, ...] = (value, *ADJECTIVES.get(value, ()), *nouns_of(value))
        if name == "second_colour":
            tag = "body" if look.get("pattern") not in ("solid", "colour-block") else "accent"
            phrases = (value,)
        elif name == "pattern":
            phrases = (*PATTERNS[value], value)
        elif name == "material":
            phrases = (*MATERIALS[value], value)
        elif value == "sleeveless":
            tag = "body"
        terms |= {re.sub(r"^an? ", "", phrase): tag for phrase in phrases if phrase}
    if look.kind.accent and accent(look):
        terms.setdefault(look.kind.accent, "accent")
    return terms


def phrases_in(text: str, terms: dict[str, str]) -> list[tuple[str, str]]:
    """The terms found in a text as (words as written, part); a term inside a longer one does not count."""
    found: dict[str, str] = {}
    taken = [False] * len(text)
    for term in sorted(terms, key=lambda term: (-len(term), term)):
        for match in re.finditer(rf"(?<![\w-]){re.escape(term)}(?![\w-])", text, re.IGNORECASE):
            if not any(taken[match.start() : match.end()]):
                taken[match.start() : match.end()] = [True] * len(match.group())
                found.setdefault(match.group(), terms[term])
    return list(found.items())
