"""Pairs to parquet and back, and to the words of any fast tokenizer's encoding of text or title."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kaleidobert.alignment.generator import AlignedPair
from kaleidobert.alignment.masking import AlignmentPair, plan_masks
from kaleidobert.alignment.matching import content_words
from kaleidobert.alignment.pair_store import PAIRS_FILE, SCHEMA, Alignment, AlignmentSummary, AlignmentWriter
from kaleidobert.errors import InputError
from kaleidobert.levels import PUBLISHED, Level, patch_boxes
from kaleidobert.model.tokenizer import train_tokenizer

TITLE = "Navy V-Neck T-Shirt"
TEXT = f"{TITLE}. Made of cotton, with a chest pocket"
WORDS = {word.text: word for word in content_words(TEXT)}
SUMMARY = AlignmentSummary("teacher", "0123456789abcdef", [3, 5], 2.0)


def pair(word, level, patch):
    return AlignedPair(WORDS[word], (word.lower(),), level, patch, 1.0, 3.5)


PAIRS = [pair("V-Neck", 3, 1), pair("V-Neck", 5, 2), pair("pocket", 5, 8)]


@pytest.fixture
def path(tmp_path):
    with AlignmentWriter(tmp_path / PAIRS_FILE, SUMMARY) as writer:
        writer.add([("a", 0, PAIRS), ("a", 1, []), ("b", 0, [pair("Navy", 5, 12)]), ("c", 0, [])])
    return tmp_path


@pytest.fixture(params=["wordpiece", "bpe", "unigram", "sentencepiece"])
def tokenizer(request):
    return train_tokenizer([TEXT.lower(), "navy shirt", "chest pocket"] * 4, request.param, 90, max_length=64)


def test_round_trip(path):
    alignment = Alignment.load(path)
    assert len(alignment) == 4 and alignment.summary.pairs == 4
    assert alignment.summary.source == "teacher" and alignment.summary.captioner == SUMMARY.captioner
    stored = alignment.stored("a")
    assert [(each.word, each.level, each.patch) for each in stored] == [
        ("V-Neck", 3, 1),
        ("V-Neck", 5, 2),
        ("pocket", 5, 8),
    ]
    assert all(TEXT[each.start : each.end] == each.word and each.score == 3.5 for each in stored)
    assert alignment.stored("a", view=1) == alignment.stored("c") == alignment.stored("unknown") == []
    table = pq.read_table(path / PAIRS_FILE)
    assert table.schema.equals(SCHEMA) and set(table["captioner"].to_pylist()) == {SUMMARY.captioner}
    assert len(Alignment.load(path / PAIRS_FILE)) == 4


def letters(encoded, words, text):
    """The text of the encoding's words."""
    return {text[slice(*encoded.word_to_chars(0, word))].strip() for word in words}


def test_pairs_are_valid_for_text_and_title_of_any_tokenizer(path, tokenizer):
    alignment = Alignment.load(path)
    encoded = tokenizer([TEXT])
    pairs = alignment.pairs("a", encoded)
    whole = letters(encoded, {each.word for each in pairs if each.patch == 30 + 2}, TEXT)
    assert whole in ({"V", "Neck"}, {"V-Neck"})  # sentencepiece keeps the compound whole
    pocket = {each.word for each in pairs if each.patch == 30 + 8}
    assert len(pocket) == 1 and letters(encoded, pocket, TEXT) == {"pocket"}
    assert {each.patch for each in pairs} == {5 + 1, 30 + 2, 30 + 8}

    title = alignment.pairs("a", tokenizer([TITLE]))
    assert {each.patch for each in title} == {5 + 1, 30 + 2}
    assert {(each.word, each.patch) for each in title} <= {(each.word, each.patch) for each in pairs}


def test_the_row_and_padding_of_a_batch(path, tokenizer):
    alignment = Alignment.load(path)
    encoded = tokenizer(["Navy", TEXT], padding=True)
    assert alignment.pairs("a", encoded, row=1) == alignment.pairs("a", tokenizer([TEXT]))
    assert alignment.pairs("a", encoded, row=0) == []


def test_a_truncated_text_keeps_the_pairs_of_its_words(path):
    tokenizer = train_tokenizer([TEXT] * 4, "wordpiece", 200, max_length=6)
    pairs = Alignment.load(path).pairs("a", tokenizer([TEXT], truncation=True))
    assert {each.patch for each in pairs} == {5 + 1, 30 + 2}


def test_levels_of_another_table_and_a_mirrored_photo(path, tokenizer):
    alignment, encoded = Alignment.load(path), tokenizer([TEXT])
    assert {each.patch for each in alignment.pairs("a", encoded, levels=[Level(5), Level(2)])} == {2, 8}
    twice = alignment.pairs("a", encoded, levels=[Level(5), Level(2), Level(5)])
    assert {each.patch for each in twice} == {2, 8, 29 + 2, 29 + 8}
    boxes = patch_boxes(PUBLISHED)
    plain, mirrored = alignment.pairs("a", encoded), alignment.pairs("a", encoded, mirrored=True)
    for one, other in zip(plain, mirrored, strict=True):
        x1, y1, x2, y2 = boxes[one.patch]
        assert one.word == other.word and boxes[other.patch] == pytest.approx((1 - x2, y1, 1 - x1, y2), abs=1e-6)


def test_masking_uses_the_pairs(path):
    tokenizer = train_tokenizer([TEXT] * 4, "wordpiece", 200, max_length=64)
    encoded = tokenizer([TEXT])
    pairs = Alignment.load(path).pairs("a", encoded)
    assert all(isinstance(each, AlignmentPair) for each in pairs)
    choice = plan_masks(encoded.word_ids(0), PUBLISHED, np.random.default_rng(0), pairs)
    assert choice.guided > 0 and choice.patches.sum() == sum(level.masked for level in PUBLISHED)


def test_a_failed_write_leaves_no_file(tmp_path):
    with pytest.raises(RuntimeError), AlignmentWriter(tmp_path / PAIRS_FILE, SUMMARY) as writer:
        writer.add([("a", 0, PAIRS)])
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_other_files_are_refused(tmp_path, path):
    with pytest.raises(InputError, match="kaleidobert align"):
        Alignment.load(tmp_path / "absent")
    (tmp_path / "text.parquet").write_text("no parquet")
    pq.write_table(pa.table({"a": [1]}), tmp_path / "other.parquet")
    for name in ("text.parquet", "other.parquet"):
        with pytest.raises(InputError, match="not a file of aligned pairs"):
            Alignment.load(tmp_path / name)
    table = pq.read_table(path / PAIRS_FILE)
    metadata = {b"kaleidobert": json.dumps({"version": 0}).encode()}
    pq.write_table(table.replace_schema_metadata(metadata), tmp_path / "old.parquet")
    with pytest.raises(InputError, match="write it again"):
        Alignment.load(tmp_path / "old.parquet")
