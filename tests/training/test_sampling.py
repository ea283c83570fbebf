import numpy as np

from kaleidobert.training.sampling import GroupedSampler

LABELS = [f"kind {n % 5}" for n in range(103)]


def order(group: int, seed: int = 0, epoch: int = 0) -> list[int]:
    return indices(GroupedSampler(LABELS, group, seed), epoch)


def indices(sampler: GroupedSampler, epoch: int = 0) -> list[int]:
    sampler.set_epoch(epoch)
    draws = list(sampler)
    assert {draw.epoch for draw in draws} == {epoch}
    return [draw.product for draw in draws]


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
    first = indices(sampler)
    assert sorted(first) == list(range(103)) and indices(sampler) == first

    def spread(given: list[int]) -> float:
        return float(np.mean([places[given[start : start + 8]].std(axis=0).mean() for start in range(0, 96, 8)]))

    assert spread(first) < 0.8 * spread(order(8))
    assert indices(sampler, epoch=1) != first


def test_draws_are_of_the_given_products_and_say_whether_masks_are_needed():
    answers = iter([False, False, True, True])
    draws = list(GroupedSampler(["a"] * 4, 1, 0, products=[5, 6, 8, 9], joint=lambda: next(answers)))
    assert sorted(draw.product for draw in draws) == [5, 6, 8, 9]
    assert [draw.joint for draw in draws] == [False, False, True, True]
