import numpy as np
import pytest
import torch

from kaleidobert.alignment.masking import TokenMasking
from kaleidobert.alignment.pair_store import Alignment
from kaleidobert.levels import PUBLISHED, level_slices
from kaleidobert.model.image_processing import to_pixel_values
from kaleidobert.model.losses import NO_LABEL, also_fitting
from kaleidobert.training.augmentation import augment, draw_augmentation
from kaleidobert.training.collators import PairCollator
from kaleidobert.training.pretraining_collator import PreTrainingCollator, plain_patches
from kaleidobert.training.sampling import Draw

INDICES = [3, 44, 7, 15, 4, 43]


def equal(one: dict, other: dict) -> bool:
    return set(one) == set(other) and all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.fixture
def collator(catalogue, tokenizer):
    return PreTrainingCollator(catalogue, tokenizer, PUBLISHED, seed=1, augmented=True, joint_samples=64)


@pytest.fixture(scope="session")
def epochs(catalogue, tokenizer):
    """(320, ...) every product in five epochs."""
    collator = PreTrainingCollator(catalogue, tokenizer, PUBLISHED, seed=1, augmented=False, joint_samples=64)
    batches = [collator.collate([Draw(index, epoch) for index in range(64)]) for epoch in range(5)]
    names = ("input_ids", "attention_mask", "masked_ids", "token_labels", "level_labels", "masked_patches")
    return {name: torch.cat([batch[name] for batch in batches]) for name in names}


def test_the_same_indices_give_the_same_batch(collator, catalogue, tokenizer):
    again = PreTrainingCollator(catalogue, tokenizer, PUBLISHED, seed=1, augmented=True, joint_samples=64)
    again([1, 2, 3])  # what came before does not matter
    assert equal(collator(INDICES), again(INDICES))


def test_seed_and_epoch_change_a_product_and_its_company_does_not(collator, catalogue, tokenizer):
    seeded = PreTrainingCollator(catalogue, tokenizer, PUBLISHED, seed=2, augmented=True, joint_samples=64)(INDICES)
    draws = [Draw(index) for index in INDICES]
    batch, later = collator.collate(draws), collator.collate([Draw(index, epoch=1) for index in INDICES])
    alone, shorter = collator.collate(draws[:1]), collator.collate(draws[3:])
    for name in ("augmentation", "negative_draws", "masked_ids", "level_labels", "masked_patches"):
        for other in (later, seeded if name in seeded else later):
            assert other[name].shape != batch[name].shape or not torch.equal(batch[name], other[name]), name
        place = 1 if name == "negative_draws" else 0
        length = alone[name].shape[-1]
        assert torch.equal(batch[name].narrow(place, 0, 1)[..., :length], alone[name]), name
        length = min(batch[name].shape[-1], shorter[name].shape[-1]) if place == 0 else 3
        assert torch.equal(batch[name].narrow(place, 3, 3)[..., :length], shorter[name][..., :length]), name


def test_shapes(collator):
    batch = collator(INDICES)
    length = batch["input_ids"].shape[1]
    expected = {
        "pixel_values": (6, 3, 40, 40),
        "text_group": (6,),
        "subcategory": (6,),
        "negative_draws": (2, 6),
        "lender_draws": (6,),
        "text_only": (6,),
        "level_labels": (6, 5),
        "masked_patches": (6, 55),
    } | dict.fromkeys(("input_ids", "attention_mask", "masked_ids", "token_labels"), (6, length))
    assert {name: tuple(value.shape) for name, value in batch.items()} == expected
    assert batch["text_group"][1] == batch["text_group"][4]  # products 44 and 4 share their text
    assert len(set(batch["text_group"].tolist())) == 4  # and so do 43 and 3
    assert batch["negative_draws"].min() >= 0 and batch["negative_draws"].max() < 1


def test_only_the_first_products_are_corrupted_and_all_texts_are_masked(catalogue, tokenizer):
    batch = PreTrainingCollator(catalogue, tokenizer, PUBLISHED, seed=1, augmented=True, joint_samples=2)(INDICES)
    length = batch["input_ids"].shape[1]
    sizes = {
        name: tuple(batch[name].shape) for name in ("token_labels", "level_labels", "masked_patches", "negative_draws")
    }
    assert sizes == {
        "token_labels": (2, length),
        "level_labels": (2, 5),
        "masked_patches": (2, 55),
        "negative_draws": (2, 2),
    }
    changed = (batch["masked_ids"] == tokenizer.mask_token_id).sum(dim=1)
    assert batch["masked_ids"].shape == (6, length) and (changed > 0).sum() >= 4


def test_dropped_words_and_patches(catalogue, tokenizer):
    dropout = {"patch_dropout": 0.4, "word_dropout": 0.3, "levels": PUBLISHED}
    batch = PairCollator(catalogue, tokenizer, seed=1, augmented=True, **dropout)(range(64))
    kept = batch["visible_patches"]
    assert kept.shape == (64, 33) and (kept.diff(dim=1) > 0).all() and set(kept.flatten().tolist()) == set(range(55))
    whole, left = batch["attention_mask"].sum(dim=1), batch["query_mask"].sum(dim=1)
    assert 0.15 < 1 - (left - 2).sum() / (whole - 2).sum() < 0.45 and left.min() >= 3
    assert batch["query_ids"].shape == batch["query_mask"].shape == (64, left.max())
    for text, query, length in zip(
        batch["input_ids"].tolist(), batch["query_ids"].tolist(), left.tolist(), strict=True
    ):
        rest = iter(text)
        assert all(token in rest for token in query[:length])  # in their order, from [CLS] to [SEP]
        assert query[0] == tokenizer.cls_token_id and query[length - 1] == tokenizer.sep_token_id
    plain = PairCollator(catalogue, tokenizer, seed=1, augmented=False, **dropout)(range(64))
    assert not {"visible_patches", "query_ids"} & set(plain)


def test_token_labels_are_the_hidden_tokens_and_the_rest_stays(epochs, tokenizer):
    hidden = epochs["token_labels"] != NO_LABEL
    assert torch.equal(epochs["token_labels"][hidden], epochs["input_ids"][hidden])
    assert torch.equal(epochs["masked_ids"][~hidden], epochs["input_ids"][~hidden])
    special = epochs["input_ids"] <= tokenizer.mask_token_id
    assert not (hidden & special).any()
    assert (hidden.sum(dim=1) >= 1).all()
    masked = (epochs["masked_ids"] == tokenizer.mask_token_id)[hidden].float().mean()
    assert masked.item() == pytest.approx(0.8, abs=0.07)
    unchanged = (epochs["masked_ids"] == epochs["input_ids"])[hidden].float().mean()
    assert unchanged.item() == pytest.approx(0.1, abs=0.06)


def test_masked_tokens_become_what_the_settings_say(catalogue, tokenizer):
    shares = TokenMasking(mask=0, random=0, unchanged=0, blank=1)
    collate = PreTrainingCollator(catalogue, tokenizer, PUBLISHED, 1, False, 64, token_masking=shares)
    batch = collate(range(64))
    hidden = batch["token_labels"] != NO_LABEL
    assert (batch["masked_ids"][hidden] == tokenizer.pad_token_id).all() and batch["attention_mask"][hidden].all()
    assert torch.equal(batch["masked_ids"][~hidden], batch["input_ids"][~hidden])


def test_level_labels_are_in_range_and_vary(epochs):
    labels = epochs["level_labels"]
    assert set(labels[:, 0].tolist()) == set(range(4))
    assert set(labels[:, 1].tolist()) == set(range(24))
    assert (labels[:, 2:] == NO_LABEL).all()
    share = labels[:, 0].bincount(minlength=4) / len(labels)
    assert share.tolist() == pytest.approx([0.25] * 4, abs=0.08)


def test_hidden_patches_meet_the_quota_of_their_level(epochs):
    counts = [epochs["masked_patches"][:, where].sum(dim=1) for where in level_slices(PUBLISHED)]
    for level, count in zip(PUBLISHED, counts, strict=True):
        assert (count == level.masked).all()
    assert (epochs["masked_patches"][:, 5:].float().mean(dim=0) > 0).all()  # every patch gets its turn


def hidden_sides(collator, indices, patch):
    """Of each product (B,) bool: whether its first word is hidden, and whether its patch (B,) is."""
    draws = [Draw(index) for index in indices]
    batch, words = collator(indices), collator.encode(draws, collator.generators(draws))
    first = torch.tensor([[word == 0 for word in words.word_ids(row)] for row in range(len(indices))])
    word = ((batch["token_labels"] != NO_LABEL) & first).any(dim=1)
    return word, batch["masked_patches"].gather(1, patch.unsqueeze(1)).squeeze(1), batch["guided"]


def test_aligned_pairs_go_first(catalogue, tokenizer, aligned):
    """Either the first word or its patch is hidden, and what is hidden for it is counted."""
    collator = PreTrainingCollator(
        catalogue, tokenizer, PUBLISHED, seed=1, augmented=False, joint_samples=64, alignment=Alignment.load(aligned)
    )
    word, patch, guided = hidden_sides(collator, list(range(64)), torch.full((64,), 30))
    assert (word ^ patch).all()
    assert 15 < word.sum() < 49
    assert (guided > 0).all() and (guided <= 0.5).all()


def test_in_a_mirrored_photo_the_patch_is_on_the_other_side(catalogue, tokenizer, aligned, monkeypatch):
    mirrored = np.arange(64) % 2 == 0
    sides = iter(np.where(mirrored, -1.0, 1.0).astype(np.float32))
    monkeypatch.setattr("kaleidobert.training.collators.draw_augmentation", lambda *_: np.array([next(sides)]))
    collator = PreTrainingCollator(
        catalogue, tokenizer, PUBLISHED, seed=1, augmented=True, joint_samples=64, alignment=Alignment.load(aligned)
    )
    word, patch, _ = hidden_sides(collator, list(range(64)), torch.from_numpy(np.where(mirrored, 34, 30)))
    assert (word | patch).all()


@pytest.mark.parametrize("word_dropout", [0.0, 0.3])
def test_short_queries_take_the_place_of_texts_in_queries_alone(catalogue, tokenizer, word_dropout):
    arguments = {"seed": 1, "augmented": True, "word_dropout": word_dropout}
    whole = PairCollator(catalogue, tokenizer, **arguments)(INDICES)
    batch = PairCollator(catalogue, tokenizer, **arguments, short_queries=1.0)(INDICES)
    facts = catalogue.facts()
    assert torch.equal(batch["input_ids"], whole["input_ids"])
    assert batch["query_ids"].shape == batch["query_mask"].shape
    assert torch.equal(batch["facts"], torch.from_numpy(facts.codes[INDICES]))
    asked = batch["asked"]
    assert ((asked == batch["facts"]) | (asked < 0)).all() and (asked >= 0).any(dim=1).all()
    for row, (ids, mask) in enumerate(zip(batch["query_ids"], batch["query_mask"], strict=True)):
        text = tokenizer.decode(ids[mask.bool()], skip_special_tokens=True)
        values = [facts.values[place][code] for place, code in enumerate(asked[row].tolist()) if code >= 0]
        words = " ".join(values).split()
        assert sum(word in text for word in words) >= len(words) - 1, (text, values)


def test_the_share_of_short_queries(catalogue, tokenizer):
    collator = PairCollator(catalogue, tokenizer, seed=1, augmented=True, short_queries=0.3)
    short = torch.cat([(collator([*range(start, start + 8)])["asked"] >= 0).any(dim=1) for start in range(0, 64, 8)])
    assert 8 <= short.sum() <= 30
    quiet = PairCollator(catalogue, tokenizer, seed=1, augmented=False, short_queries=0.3)([1, 2])
    assert not {"asked", "facts", "query_ids"} & set(quiet)


def test_without_augmentation_a_batch_has_the_first_views(catalogue, tokenizer):
    batch = PairCollator(catalogue, tokenizer, seed=1, augmented=False)(INDICES)
    first = catalogue.first_view[INDICES]
    assert torch.equal(batch["pixel_values"], to_pixel_values(torch.from_numpy(catalogue.pixels[first])))
    assert set(batch) == {"pixel_values", "input_ids", "attention_mask", "text_group", "negative_draws", "text_only"}
    assert not batch["text_only"].any()


def test_augmentation_takes_any_view_of_the_product_itself(catalogue, tokenizer, monkeypatch):
    monkeypatch.setattr("kaleidobert.training.collators.draw_augmentation", lambda *_: np.ones(1, np.float32))
    seen = set()
    for seed in range(12):
        batch = PairCollator(catalogue, tokenizer, seed, augmented=True)([7, 8])  # product 7 has two views
        assert torch.equal(batch["pixel_values"][1], to_pixel_values(torch.from_numpy(catalogue.pixels[[9]]))[0])
        views = to_pixel_values(torch.from_numpy(catalogue.pixels[[7, 8]]))
        seen |= {view for view in (0, 1) if torch.equal(batch["pixel_values"][0], views[view])}
    assert seen == {0, 1}


def drawn_for(photos: int, strength: float = 1.0) -> torch.Tensor:
    rng = np.random.default_rng(0)
    return torch.from_numpy(np.stack([draw_augmentation(rng, strength) for _ in range(photos)]))


def test_augment_changes_each_photo_differently_and_keeps_white_around():
    pixels = torch.ones(8, 3, 32, 32)
    pixels[:, :, 12:20, 12:20] = torch.tensor([0.8, 0.1, 0.1]).view(3, 1, 1)
    drawn = drawn_for(8)
    out, mirrored = augment(pixels, drawn), drawn[:, 0] < 0
    assert 0 < mirrored.sum() < 8
    assert out.shape == pixels.shape and out.min() >= 0 and out.max() <= 1
    assert all(not torch.allclose(out[0], other) for other in out[1:])
    assert (out[:, :, 0, 0] > 0.85).all()  # what moves in is white, but for the light


def test_photos_get_one_task_or_none(catalogue, tokenizer):
    collate = PreTrainingCollator(
        catalogue, tokenizer, PUBLISHED, seed=0, augmented=True, joint_samples=64, corruption="photos"
    )
    counts = np.zeros(6)
    for _ in range(4):
        batch = collate(range(64))
        collate.seed += 1
        labels, hidden = batch["level_labels"].numpy(), batch["masked_patches"].numpy()
        asked = [hidden[:, w].any(1) | (labels[:, i] >= 0) for i, w in enumerate(level_slices(PUBLISHED))]
        number = np.sum(asked, axis=0)
        assert number.max() == 1
        counts += [*np.sum(asked, axis=1), (number == 0).sum()]
    assert counts.sum() == 256 and counts.min() > 20


def test_patches_of_one_colour_are_not_hidden(catalogue, tokenizer):
    pixels = torch.ones(1, 3, 40, 40)
    pixels[..., 12:28, 12:28] = torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(0))
    plain = plain_patches(pixels, PUBLISHED)
    assert plain[0, 5:14].tolist() == [False] * 9 and plain[0, 30:].view(5, 5)[0].all()
    collate = PreTrainingCollator(catalogue, tokenizer, PUBLISHED, seed=0, augmented=False, joint_samples=64)
    batch = collate(range(64))
    enough = (~plain_patches(batch["pixel_values"], PUBLISHED))[:, 30:].sum(dim=1) >= 3
    hidden = batch["masked_patches"][:, 30:] & plain_patches(batch["pixel_values"], PUBLISHED)[:, 30:]
    assert enough.any() and not hidden[enough].any()


def test_without_strength_photos_are_mirrored_and_else_untouched():
    pixels = torch.rand(16, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    drawn = drawn_for(16, strength=0)
    out, mirrored = augment(pixels, drawn), drawn[:, 0] < 0
    for row, flipped in enumerate(mirrored):
        assert torch.equal(out[row], pixels[row].flip(-1) if flipped else pixels[row])
    assert 0 < mirrored.sum() < 16
    some, much = (augment(pixels, drawn_for(16, strength)) for strength in (0.2, 1.0))
    assert (some - out).abs().mean() < 0.7 * (much - out).abs().mean()


def test_chosen_queries_train_the_products_that_were_chosen(catalogue, tokenizer):
    """Any other product that was chosen from the same query fits it; the others do not."""
    ids = [catalogue.ids[index] for index in INDICES]
    chosen = {ids[0]: ["a qq"], ids[1]: ["a qq", "b qq"], ids[2]: ["b qq"], "unknown": ["a qq"]}
    seen = set()
    for seed in range(20):
        batch = PairCollator(catalogue, tokenizer, seed=seed, augmented=True, chosen=chosen)(INDICES)
        fit = also_fitting(batch["text_group"], batch["facts"], batch["asked"])
        typed = {}
        for row in np.flatnonzero((batch["asked"] >= 0).any(dim=1)).tolist():
            assert row < 3
            ids_of = batch["query_ids"][row][batch["query_mask"][row].bool()]
            typed[row] = (
                "a qq" if torch.equal(ids_of, tokenizer("a qq", return_tensors="pt")["input_ids"][0]) else "b qq"
            )
            assert typed[row] in chosen[ids[row]]
            same = (batch["text_group"] == batch["text_group"][row]).tolist()  # equal titles fit as well
            others = {place for place in range(3) if typed[row] in chosen[ids[place]]} | set(np.flatnonzero(same))
            assert set(np.flatnonzero(fit[row])) == others - {row}
        seen |= set(typed.items())
    assert seen == {(0, "a qq"), (1, "a qq"), (1, "b qq"), (2, "b qq")}
