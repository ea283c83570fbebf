import numpy as np

from kaleidobert.training.sampling import GroupedSampler

LABELS = [f"kind {n % 5}" for n in range(103)]


def order(group: int, seed: int = 0, epoch: int = 0) -> list[int]:
    sampler = GroupedSampler(LABELS, group, seed)
    sampler.set_epoch(epoch)
    return list(sampler)


def test_every_product_comes_once_an_epoch():
    for group in (1, 8):
        assert sorted(order(group)) == list(range(103))
        assert len(GroupedSampler(LABELS, group, 0)) == 103


def test_the_order_depends_on_seed_and_epoch_alone():
    for group in (1, 8):
        assert order(group) == order(group)
        assert order(group) != order(group, epoch=1)
        assert order(group) != order(group, seed=1)


def test_groups_share_a_sub_category_and_a_plain_shuffle_does_not():
    def neighbours(group: int) -> float:
        labels = [LABELS[index] for index in order(group)]
        return sum(a == b for a, b in zip(labels, labels[1:], strict=False)) / 102

    assert neighbours(1) < 0.4
    assert neighbours(8) > 0.75
    assert order(8) != sorted(order(8), key=lambda index: LABELS[index])  # the groups are shuffled


def test_groups_of_neighbours_have_similar_vectors_and_change_with_the_epoch():
    rng = np.random.default_rng(0)
    places = rng.normal(size=(103, 3)).astype(np.float32)
    sampler = GroupedSampler(LABELS, 8, 0, places)
    first = list(sampler)
    assert sorted(first) == list(range(103)) and list(sampler) == first

    def spread(given: list[int]) -> float:
        return float(np.mean([places[given[start : start + 8]].std(axis=0).mean() for start in range(0, 96, 8)]))

    assert spread(first) < 0.8 * spread(order(8))
    sampler.set_epoch(1)
    assert list(sampler) != first
