"""What alignment-guided masking hides in whole batches, where every level is corrupted and where one of a photo is."""

import numpy as np
import pytest
import torch

from kaleidobert.alignment.generator import AlignedPair
from kaleidobert.alignment.matching import content_words
from kaleidobert.alignment.pair_store import Alignment, AlignmentSummary, AlignmentWriter
from kaleidobert.levels import PUBLISHED, Level, level_slices
from kaleidobert.model.losses import NO_LABEL
from kaleidobert.training.pretraining_collator import PreTrainingCollator
from kaleidobert.training.sampling import Draw

EVERYTHING = list(range(64))
LEVEL_OF = np.repeat(np.arange(5), [level.patches for level in PUBLISHED])


@pytest.fixture(scope="module")
def alignment(catalogue, tmp_path_factory):
    """A random patch on one to three of the levels 3, 4 and 5 for each word of a text, the same in each view."""
    path, rng = tmp_path_factory.mktemp("pairs") / "pairs.parquet", np.random.default_rng(0)
    with AlignmentWriter(path, AlignmentSummary("teacher", "none", [3, 4, 5], 0.0)) as writer:
        for index, (product, text) in enumerate(zip(catalogue.ids, catalogue.texts, strict=True)):
            pairs = [
                AlignedPair(word, (word.text,), int(grid), int(rng.integers(grid**2)), 1.0, 1.0)
                for word in content_words(text)
                for grid in rng.permutation([3, 4, 5])[: rng.integers(1, 4)]
            ]
            views = range(int(catalogue.first_view[index + 1] - catalogue.first_view[index]))
            writer.add([(product, view, pairs) for view in views])
    return Alignment.load(path)


class Hidden:
    """A product's pairs, and its hidden words and patches (P,) bool."""

    def __init__(self, collator, batch, encoded, views, row):
        own = int(views[row] - collator.dataset.first_view[row])
        word_ids, view = encoded.word_ids(row), (own, bool(batch["augmentation"][row, 0] < 0))
        self.pairs = collator.alignment.pairs(collator.dataset.ids[row], encoded, row, PUBLISHED, *view)
        chosen = batch["token_labels"][row] != NO_LABEL
        self.words = {word for word, hidden in zip(word_ids, chosen.tolist(), strict=True) if hidden}
        self.quota = max(1, round(0.15 * sum(word is not None for word in word_ids)))
        self.tokens = int(chosen.sum())
        self.patches = batch["masked_patches"][row].numpy()

    def sides(self, pair):
        return pair.word in self.words, bool(self.patches[pair.patch])

    def could_be_hidden(self, pair):
        """Whether another choice could hide a side: the word, its patches being shown, or the patch, its words being
        shown, in the place of an unaligned one or below a quota.
        """
        others = {each.word for each in self.pairs}
        word = not any(self.patches[each.patch] for each in self.pairs if each.word == pair.word)
        word = word and (self.tokens < self.quota or bool(self.words - others))
        aligned = {each.patch for each in self.pairs}
        same_level = set(np.flatnonzero(self.patches & (LEVEL_OF == LEVEL_OF[pair.patch])))
        patch = not any(each.word in self.words for each in self.pairs if each.patch == pair.patch)
        return word or (patch and bool(same_level - aligned))


def hidden_in(collator, seeds=4):
    """Every product in ``seeds`` batches, and the logged shares."""
    rows, logged = [], []
    for _ in range(seeds):
        draws = [Draw(index) for index in EVERYTHING]
        batch, rngs = collator.collate(draws), collator.generators(draws)
        encoded = collator.encode(draws, rngs)
        views = collator.pairs(draws, encoded, rngs)[1]
        rows += [Hidden(collator, batch, encoded, views, row) for row in EVERYTHING]
        logged += batch["guided"].tolist()
        collator.seed += 1
    return rows, logged


@pytest.fixture
def collate(catalogue, tokenizer, alignment, monkeypatch):
    """A collator by corruption, of photos without a plain patch, which would not be hidden."""
    monkeypatch.setattr(
        "kaleidobert.training.pretraining_collator.plain_patches",
        lambda pixels, _: torch.zeros(len(pixels), 55, dtype=torch.bool),
    )
    inputs = (catalogue, tokenizer, PUBLISHED, 1, True, 64, alignment)
    return lambda corruption: PreTrainingCollator(*inputs, corruption=corruption)


@pytest.mark.parametrize("corruption", ["levels", "photos"])
def test_pairs_have_one_side_hidden_or_the_quotas_are_spent_on_other_pairs(collate, corruption):
    rows, logged = hidden_in(collate(corruption))
    sides = [(row, pair, *row.sides(pair)) for row in rows for pair in row.pairs]
    assert len(sides) > 1000 and not [pair for _, pair, word, patch in sides if word and patch]
    assert not [pair for row, pair, word, patch in sides if not word and not patch and row.could_be_hidden(pair)]
    for row, share in zip(rows, logged, strict=True):
        aligned = row.words & {pair.word for pair in row.pairs}
        patches = {pair.patch for pair in row.pairs if row.patches[pair.patch]}
        assert share == pytest.approx((len(aligned) + len(patches)) / (len(row.words) + row.patches.sum()))
    # Text and photo each have their share of what pairs hide, where a photo has hidden patches.
    both = [(word, patch) for row, pair, word, patch in sides if row.patches[LEVEL_OF == LEVEL_OF[pair.patch]].any()]
    words, patches = np.sum(both, axis=0)
    assert 0.4 < words / patches < 2.5


def test_a_photo_with_one_task_hides_patches_of_its_level_alone_and_words_of_any(collate):
    rows, _ = hidden_in(collate("photos"))
    levels = [set(LEVEL_OF[row.patches]) for row in rows]
    assert all(len(found) <= 1 for found in levels) and {0, 1, 2, 3, 4} - set().union(*levels) == {0, 1}
    quotas = [level.masked for level in PUBLISHED]
    assert all(row.patches.sum() == quotas[found.pop()] for row, found in zip(rows, levels, strict=True) if found)
    # A photo that hides nothing: its words come from pairs all the same.
    whole = [row for row in rows if not row.patches.any()]
    assert len(whole) > 80 and all(row.words <= {pair.word for pair in row.pairs} for row in whole)


@pytest.mark.parametrize("corruption", ["levels", "photos"])
def test_a_level_that_no_task_hides_has_no_masked_patch(catalogue, tokenizer, alignment, corruption):
    """Such patches would be shown, and their words kept in sight for nothing."""
    levels = [Level(3, "rotation", masked=2), Level(4, None, masked=3), Level(5, "blank", masked=2)]
    collate = PreTrainingCollator(catalogue, tokenizer, levels, 1, True, 64, alignment=alignment, corruption=corruption)
    batch = collate(EVERYTHING)
    three, four, five = (batch["masked_patches"][:, where] for where in level_slices(levels))
    assert not three.any() and not four.any()
    assert set(five.sum(dim=1).tolist()) == ({2} if corruption == "levels" else {0, 2})
