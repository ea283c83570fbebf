"""The code page of texts that are not Unicode, as spreadsheets write them in each region."""

from __future__ import annotations

import charset_normalizer

# Letters of languages beside a to z. A byte is a letter in most Latin code pages: "Niño" is "Nińo" in another one.
ALPHABETS = {
    "cp1252": (  # da/no, sv/fi, de, fr, es, pt, it, nl, is
        *("æøåéóê", "åäöéšž", "äöüßé", "àâæçéèêëîïôœùûüÿ", "áéíñóúüçªº", "áâãàçéêíóôõúüªº"),
        *("àèéìíîòóùú", "éèëïöüêáíóúçà", "áðéíóúýþæö"),
    ),
    "cp1250": (  # pl, cs, sk, hu, ro, hr/sl
        *("ąćęłńóśźż", "áčďéěíňóřšťúůýž", "áäčďéíĺľňóôŕšťúýž", "áéíóöőúüű", "ăâîşţ", "čćđšž"),
    ),
    "cp1254": ("çğıöşüâîû",),  # tr
}
SIGNS = "€‚„…‰‹›‘’“”•–—™ ¡¢£§©«»®°±²·¿¼½¾×\N{SOFT HYPHEN}"  # that any language has
AT_LEAST = 0.95  # of the characters, for a text in one of these languages
OTHERS = ["cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1256", "cp932", "gb18030", "big5", "cp949"]


def code_page(text: bytes) -> str:
    """The code page in which nearly all letters are those of one language, else the one that looks most like text."""
    high = text.translate(None, bytes(range(128)))
    shares = {page: max(_share(high, page, alphabet) for alphabet in found) for page, found in ALPHABETS.items()}
    best = max(shares, key=shares.__getitem__)  # of equals the first
    if shares[best] >= AT_LEAST:
        return best
    guess = charset_normalizer.from_bytes(text, cp_isolation=OTHERS, enable_fallback=False).best()
    return guess.encoding if guess else best


def _share(text: bytes, page: str, alphabet: str) -> float:
    letters = [letter for letter in text.decode(page, "replace").lower() if letter not in SIGNS]
    return sum(letter in alphabet for letter in letters) / len(letters) if letters else 1.0
