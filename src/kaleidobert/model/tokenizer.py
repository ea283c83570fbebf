"""Sub-word tokenizers: trained on the catalogue's own texts, or published ones."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from itertools import islice
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from kaleidobert.errors import InputError

SPECIAL_TOKENS = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}
# Accents of Latin, Greek and Cyrillic letters. BERT drops the signs of all scripts, such as the vowels of Hindi.
ACCENTS = Regex("[\u0300-\u036f]")
# Each letter is a word in scripts without spaces, as BERT has it for Chinese: an unknown one does not hide the others.
UNSPACED = Regex(r"[\p{Hiragana}\p{Katakana}ー\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]\p{M}*")
ADDED_FROM = 2  # times that a character must occur in the texts to become a token


def train_tokenizer(
    texts: Iterable[str], kind: str = "wordpiece", vocabulary: int = 8000, max_length: int = 64
) -> PreTrainedTokenizerFast:
    """Train a tokenizer with BERT's special tokens and normalisation. The same texts give the same ids.

    ``kind``: wordpiece, bpe, unigram (within words), or sentencepiece (unigram on the raw text, including spaces).
    ``vocabulary``: number of tokens, at most. Raises ``InputError`` for another kind.
    """
    texts = list(texts)
    tokenizer = _untrained(kind)
    normalize, split = tokenizer.normalizer.normalize_str, tokenizer.pre_tokenizer.pre_tokenize_str
    words = {word for text in texts for word, _ in split(normalize(text))}
    # The trainers number the pieces that continue or end a word in the order of a hash map, which differs between
    # runs, and break ties by these numbers. Passed as special tokens, the pieces are numbered in sorted order.
    pieces: dict[str, set[str]] = {
        "wordpiece": {f"##{character}" for word in words for character in word[1:]},
        "bpe": {f"{word[-1]}</w>" for word in words},
    }
    specials = list(SPECIAL_TOKENS.values())
    settings: dict[str, Any] = {"vocab_size": vocabulary, "show_progress": False}
    settings["special_tokens"] = specials + sorted(pieces.get(kind, ()))
    trainer: Any
    if kind == "wordpiece":
        trainer = trainers.WordPieceTrainer(min_frequency=2, **settings)
    elif kind == "bpe":
        trainer = trainers.BpeTrainer(min_frequency=2, end_of_word_suffix="</w>", **settings)
    else:
        trainer = trainers.UnigramTrainer(unk_token="[UNK]", **settings)
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer = _canonical(tokenizer)
    ends = [(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    pair = "[CLS] $A [SEP] $B:1 [SEP]:1"
    tokenizer.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", pair=pair, special_tokens=ends)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=max_length, **SPECIAL_TOKENS)


def load_tokenizer(name_or_folder: str, max_length: int) -> PreTrainedTokenizerFast:
    """A published tokenizer, from a folder or the Hugging Face Hub. The ids of its special tokens do not matter.

    Raises ``InputError`` if there is none, or it is not one for masked language modelling: it must be a fast tokenizer
    with [CLS], [SEP], [PAD] and [MASK], under whatever names, that encodes a text as [CLS] ... [SEP].
    """
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(
            name_or_folder, model_max_length=max_length, padding_side="right", truncation_side="right"
        )
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"tokenizer {name_or_folder}: cannot be loaded; {reason}") from error
    if not tokenizer.is_fast:
        raise InputError(f"tokenizer {name_or_folder}: it has no fast version, which whole-word masking needs")
    missing = [name for name in ("cls", "sep", "pad", "mask") if getattr(tokenizer, f"{name}_token_id") is None]
    if missing:
        raise InputError(
            f"tokenizer {name_or_folder}: it has no {missing[0]} token; give one for masked language models"
        )
    ids = tokenizer("a")["input_ids"]
    if (ids[0], ids[-1]) != (tokenizer.cls_token_id, tokenizer.sep_token_id):
        raise InputError(f"tokenizer {name_or_folder}: its texts do not begin with the cls and end with the sep token")
    return tokenizer


def trim_vocabulary(
    tokenizer: PreTrainedTokenizerFast, texts: Iterable[str], size: int
) -> tuple[PreTrainedTokenizerFast, list[int]]:
    """A WordPiece tokenizer with at most ``size`` tokens, and the old ids of its tokens.

    It keeps special tokens, single characters, the tokens of ``texts``, which are therefore tokenized as before, and
    then those with the lowest ids, which in BERT's vocabulary are the most frequent words. Characters of the texts that
    the vocabulary lacks are added; their old id is that of [UNK], whose embedding they start from. Where BERT's own
    normalisation would strip the signs of other scripts, it is replaced. Raises ``InputError`` for a tokenizer of
    another kind.
    """
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    if state["model"]["type"] != "WordPiece":
        kind = state["model"]["type"]
        raise InputError(f"only WordPiece can be trimmed, not {kind}; set tokenizer.vocabulary=null")
    vocabulary: dict[str, int] = state["model"]["vocab"]
    texts = list(texts)
    if _strips_accents(state):
        state["normalizer"], state["pre_tokenizer"] = _parts()
    spelling = Tokenizer.from_str(json.dumps(state))
    added = _missing_pieces(spelling, texts)
    kept = {index for token, index in vocabulary.items() if len(token.removeprefix("##")) == 1}
    kept |= set(tokenizer.all_special_ids) | set(tokenizer.added_tokens_decoder)
    for encoding in spelling.encode_batch(texts, add_special_tokens=False):
        kept |= set(encoding.ids)
    names = {index: token for token, index in vocabulary.items()}
    # a name without letters or in brackets stands for nothing: [unused1]
    ordinary = (index for index in sorted(names) if index not in kept and not names[index].startswith("[unused"))
    kept |= set(islice(ordinary, max(0, size - len(kept) - len(added))))
    old = sorted(kept)
    tokens = [*(names[index] for index in old), *added]
    state["model"]["vocab"] = {token: new for new, token in enumerate(tokens)}
    for token in state["added_tokens"]:
        token["id"] = old.index(token["id"])
    specials = {name: getattr(tokenizer, name) for name in SPECIAL_TOKENS}
    backend = Tokenizer.from_str(json.dumps(state))
    if tokenizer.backend_tokenizer.post_processor is not None:
        ends = [(token, backend.token_to_id(token)) for token in (specials["cls_token"], specials["sep_token"])]
        (cls, _), (sep, _) = ends
        backend.post_processor = processors.TemplateProcessing(
            f"{cls} $A {sep}", pair=f"{cls} $A {sep} $B:1 {sep}:1", special_tokens=ends
        )
    trimmed = PreTrainedTokenizerFast(tokenizer_object=backend, model_max_length=tokenizer.model_max_length, **specials)
    return trimmed, old + [tokenizer.unk_token_id] * len(added)


def token_counts(tokenizer: PreTrainedTokenizerFast, texts: Iterable[str]) -> list[int]:
    """How often each token of the vocabulary occurs in the texts, special tokens included."""
    counts = Counter(index for ids in tokenizer(list(texts), truncation=True)["input_ids"] for index in ids)
    return [counts[index] for index in range(len(tokenizer))]


def _untrained(kind: str) -> Tokenizer:
    words, spaces = _pre_tokenizer(), pre_tokenizers.Metaspace()
    if kind == "wordpiece":
        tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        tokenizer.pre_tokenizer, tokenizer.decoder = words, decoders.WordPiece()
    elif kind == "bpe":
        tokenizer = Tokenizer(models.BPE(unk_token="[UNK]", end_of_word_suffix="</w>"))
        tokenizer.pre_tokenizer, tokenizer.decoder = words, decoders.BPEDecoder("</w>")
    elif kind in ("unigram", "sentencepiece"):
        tokenizer = Tokenizer(models.Unigram())
        tokenizer.pre_tokenizer = spaces if kind == "sentencepiece" else pre_tokenizers.Sequence([words, spaces])
        tokenizer.decoder = decoders.Metaspace()
    else:
        raise InputError(f"no tokenizer {kind!r}; use wordpiece, bpe, unigram or sentencepiece")
    tokenizer.normalizer = sign_normalizer()
    return tokenizer


def sign_normalizer() -> normalizers.Normalizer:
    """BERT's for lower-case models, which keeps the signs that belong to a script's letters."""
    bert = normalizers.BertNormalizer(strip_accents=False, lowercase=True)
    return normalizers.Sequence([bert, normalizers.NFD(), normalizers.Replace(ACCENTS, "")])


def _pre_tokenizer() -> pre_tokenizers.PreTokenizer:
    letters = pre_tokenizers.Split(UNSPACED, "isolated")
    return pre_tokenizers.Sequence([pre_tokenizers.BertPreTokenizer(), letters])


def _parts() -> tuple[dict[str, Any], dict[str, Any]]:
    """The normaliser and the pre-tokenizer as a tokenizer's file has them."""
    state = json.loads(_untrained("wordpiece").to_str())
    return state["normalizer"], state["pre_tokenizer"]


def _strips_accents(state: dict[str, Any]) -> bool:
    """Whether a tokenizer's state has BERT's normalisation for lower-case models."""
    found = state["normalizer"] or {}
    strips = found.get("strip_accents")
    return found.get("type") == "BertNormalizer" and found["lowercase"] and strips is not False


def _missing_pieces(tokenizer: Tokenizer, texts: Iterable[str]) -> list[str]:
    """Characters of the texts, as pieces at a word's start and within it, that a WordPiece vocabulary lacks."""
    normalizer, splitter, vocabulary = tokenizer.normalizer, tokenizer.pre_tokenizer, tokenizer.get_vocab()
    counts: Counter[str] = Counter()
    for text in texts:
        for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text) if normalizer else text):
            counts.update([word[0], *(f"##{letter}" for letter in word[1:])])
    return sorted(piece for piece, count in counts.items() if count >= ADDED_FROM and piece not in vocabulary)


def _canonical(tokenizer: Tokenizer) -> Tokenizer:
    """Unmark the pieces passed as special tokens, and sort Unigram's pieces by alphabet."""
    state = json.loads(tokenizer.to_str())
    specials = list(SPECIAL_TOKENS.values())
    state["added_tokens"] = [token for token in state["added_tokens"] if token["content"] in specials]
    if state["model"]["type"] == "Unigram":
        # The scores are sums whose last digits differ between runs.
        pieces = [[piece, round(score, 6)] for piece, score in state["model"]["vocab"]]
        state["model"]["vocab"] = pieces[: len(specials)] + sorted(pieces[len(specials) :])
    return Tokenizer.from_str(json.dumps(state))
