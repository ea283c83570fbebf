"""What a published tokenizer, or another run's, does not keep of a catalogue's texts."""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Sequence
from typing import Any

from kaleidobert.main_process import is_main_process
from kaleidobert.model.tokenizer import sign_normalizer

_LOGGER = logging.getLogger(__name__)
TEXTS_LOOKED_AT = 5000
WARN_FROM = 0.01  # of the texts


def warn_of_lost_letters(tokenizer: Any, texts: Sequence[str], name: str, advice: str) -> None:
    """Log, in one line, how many of the texts a tokenizer cannot keep whole, if these are more than a few."""
    share, word = lost_letters(tokenizer, texts)
    if share >= WARN_FROM and is_main_process():
        message = "%s loses letters or signs of %.0f %% of the texts, such as those of %r; to keep them, %s"
        _LOGGER.warning(message, name, 100 * share, word[:40], advice)


def lost_letters(tokenizer: Any, texts: Sequence[str]) -> tuple[float, str]:
    """The share of the first texts whose letters or signs a fast tokenizer loses, and the first such word, or "".

    A letter is lost in an unknown token, a sign where BERT strips it, as it does with the vowels of Hindi. Accents of
    Latin, Greek and Cyrillic letters do not count.
    """
    texts = texts[:TEXTS_LOOKED_AT]
    lost = _losing(tokenizer, texts) if texts else []
    if not lost:
        return 0.0, ""
    words = texts[lost[0]].split()
    found = _losing(tokenizer, words)
    return len(lost) / len(texts), words[found[0]] if found else texts[lost[0]]


def _losing(tokenizer: Any, texts: Sequence[str]) -> list[int]:
    """The indices of the texts of which something is lost."""
    ours, theirs = sign_normalizer(), tokenizer.backend_tokenizer.normalizer
    found = []
    for index, ids in enumerate(tokenizer(list(texts))["input_ids"]):
        kept = theirs.normalize_str(texts[index]) if theirs else texts[index]
        if tokenizer.unk_token_id in ids or _signs(ours.normalize_str(texts[index])) - _signs(kept):
            found.append(index)
    return found


def _signs(text: str) -> set[str]:
    return {letter for letter in unicodedata.normalize("NFD", text) if unicodedata.category(letter).startswith("M")}
