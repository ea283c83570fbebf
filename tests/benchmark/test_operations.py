"""Counted operations: by hand, and by the counter of torch."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from kaleidobert.benchmark.operations import MatrixProduct, bare_products, operations_of


def forward_and_backward() -> None:
    """A convolution whose input needs no gradient, one whose input does, attention of both kinds, and a layer."""
    first, second, layer = nn.Conv2d(3, 8, 3, stride=2), nn.Conv2d(8, 16, 1), nn.Linear(16, 4)
    states = second(first(torch.rand(2, 3, 9, 9))).flatten(2).mT  # (2, 16, 16)
    states = states + torch.softmax(states @ states.mT, dim=-1) @ states
    heads = states.unflatten(-1, (2, 8)).transpose(1, 2)  # (2, 2, 16, 8)
    attended = F.scaled_dot_product_attention(heads, heads, heads).transpose(1, 2).flatten(2)
    layer(attended).square().sum().backward()


def test_operations_are_those_that_torch_counts() -> None:
    with FlopCounterMode(display=False) as expected:
        forward_and_backward()
    assert operations_of(forward_and_backward).operations == expected.get_total_flops() > 0


def test_a_frozen_weight_saves_one_of_three_products() -> None:
    layer = nn.Linear(5, 7, bias=False)
    inputs = torch.rand(3, 5, requires_grad=True)
    trained = operations_of(lambda: layer(inputs).sum().backward())
    assert trained.products == {MatrixProduct(3, 5, 7): 1, MatrixProduct(7, 3, 5): 1, MatrixProduct(3, 7, 5): 1}
    assert trained.operations == 3 * 2 * 3 * 5 * 7
    layer.requires_grad_(False)
    assert operations_of(lambda: layer(inputs).sum().backward()).operations == 2 * 2 * 3 * 5 * 7


def test_depthwise_convolutions_are_no_matrix_products() -> None:
    found = operations_of(lambda: nn.Conv2d(6, 6, 3, groups=6, bias=False)(torch.rand(2, 6, 5, 5)))
    assert found.operations == 0 and found.depthwise == 2 * (2 * 3 * 3) * 9 * 6
    assert found.bytes == 4 * (2 * 6 * 5 * 5 + 6 * 9 + 2 * 6 * 3 * 3)


def test_bare_products_compute_as_much() -> None:
    products = operations_of(forward_and_backward).products
    assert operations_of(bare_products(products, torch.float32, torch.device("cpu"))).operations == sum(
        count * product.operations for product, count in products.items()
    )
