import pytest

from kaleidobert.data.splits import SPLITS, split_of


def test_a_product_s_split_never_changes():
    splits = [split_of(f"sku-{n}") for n in range(9)]
    assert splits == ["train", "validation", *["train"] * 6, "test"]


def test_shares_are_met():
    splits = [split_of(str(n), shares=(0.6, 0.3, 0.1)) for n in range(5000)]
    counts = [splits.count(split) / 5000 for split in SPLITS]
    assert counts == pytest.approx([0.6, 0.3, 0.1], abs=0.02)


def test_a_share_of_zero_gets_no_products():
    assert {split_of(str(n), shares=(0.9, 0.1, 0.0)) for n in range(2000)} == {"train", "validation"}


def test_another_seed_gives_other_splits():
    assert any(split_of(str(n), seed=1) != split_of(str(n), seed=2) for n in range(50))


@pytest.mark.parametrize("shares", [(0.5, 0.1, 0.1), (1.2, -0.1, -0.1), (0.5, 0.5)])
def test_invalid_shares(shares):
    with pytest.raises(ValueError, match="sum to 1"):
        split_of("a", shares=shares)
