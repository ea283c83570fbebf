from kaleidobert.training.trainer import GroupedSampler

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


def test_groups_share_a_sub_category_and_singles_do_not():
    def neighbours(group: int) -> float:
        labels = [LABELS[index] for index in order(group)]
        return sum(a == b for a, b in zip(labels, labels[1:], strict=False)) / 102

    assert neighbours(1) < 0.4
    assert neighbours(8) > 0.75
    assert order(8) != sorted(order(8), key=lambda index: LABELS[index])  # runs are shuffled
