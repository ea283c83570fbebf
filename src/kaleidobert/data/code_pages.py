"""The code page of texts that are not Unicode, as spreadsheets write them in each region."""

from __future__ import annotations

import re

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
    "cp1257": ("ąčęėįšųūž", "āčēģīķļņšūž", "äõöüšž"),  # lt, lv, et
}
# Of scripts without a to z, the letters that nearly all of a text is made of: Arabic and Persian, Thai, Hebrew, Greek.
# The same bytes are letters of each other's, and of Cyrillic.
OTHER_ALPHABETS = {
    "cp1256": ("ءآأؤإئابةتثجحخدذرزسشصضطظعغـفقكلمنهوىيًٌٍَُِّْپچژگک",),
    "cp874": ("กขคงจฉชซญดตถทธนบปผฝพฟภมยรลวศษสหอะัาำิีึืฺุูเแโใไ็่้๊์",),
    "cp1255": ("אבגדהוזחטיךכלםמןנסעףפץצקרשת",),
    "cp1253": ("αβγδεζηθικλμνξοπρσςτυφχψωάέήίόύώ",),
}
ENDS = re.compile("[ךםןףץ](?=[א-ת])|ς(?=[α-ώ])")  # letters for the ends of words, elsewhere
WORD, LATIN = re.compile(rb"[A-Za-z\x80-\xff]+"), re.compile(rb"[A-Za-z]")
SIGNS = "€‚„…‰‹›‘’“”•–—™ ¡¢£§©«»®°±²·¿¼½¾×₪฿،؛؟\N{SOFT HYPHEN}"  # that any language has
AT_LEAST = 0.95  # of the characters, for a text in one of these languages
OTHERS = [
    *("cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp874"),
    *("cp932", "gb18030", "big5", "cp949"),
]


def code_page(text: bytes) -> str:
    """The code page in which nearly all letters are those of one language, else the one that looks most like text."""
    words = [word for word in WORD.findall(text) if not word.isascii()]
    latin = 2 * sum(LATIN.search(word) is not None for word in words) > len(words)  # letters of a to z within words
    high = b" ".join(words).translate(None, bytes(range(128)).replace(b" ", b""))
    pages = ALPHABETS if latin else ALPHABETS | OTHER_ALPHABETS
    shares = {page: max(_share(high, page, alphabet) for alphabet in found) for page, found in pages.items()}
    best = max(shares, key=shares.__getitem__)  # of equals the first
    if shares[best] >= AT_LEAST:
        return best
    guess = charset_normalizer.from_bytes(text, cp_isolation=OTHERS, enable_fallback=False).best()
    return guess.encoding if guess else best


def _share(text: bytes, page: str, alphabet: str) -> float:
    found = ENDS.sub("\ufffd", text.decode(page, "replace").lower())
    letters = [letter for letter in found if letter not in SIGNS]
    return sum(letter in alphabet for letter in letters) / len(letters) if letters else 1.0
