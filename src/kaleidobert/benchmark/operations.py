"""The matrix products of a computation, forward and backward, and the time that they take alone."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

ATEN = torch.ops.aten


class MatrixProduct(NamedTuple):
    """(rows, inner) by (inner, columns)."""

    rows: int
    inner: int
    columns: int

    @property
    def operations(self) -> int:
        """A multiplication and an addition for each of rows x inner x columns."""
        return 2 * self.rows * self.inner * self.columns


class Operations(TorchDispatchMode):
    """Counts the matrix products that are computed within this block; not in inference mode, which hides them.

    A linear layer of N rows is one product, of (N, inputs) by (inputs, outputs), and one more for each gradient that
    is needed, of inputs and of weights; so is a convolution, of N = B x h x w rows of inputs x kernel x kernel numbers.
    Attention of T queries and K keys is two per head, (T, D) by (D, K) and (T, K) by (K, D), and five in backward.
    ``depthwise``: operations of grouped convolutions, 2 x B x h x w x kernel x kernel x channels, which are no matrix
    products and are limited by memory. ``bytes``: of the inputs and outputs of all of these.
    """

    def __init__(self) -> None:
        super().__init__()
        self.products: Counter[MatrixProduct] = Counter()
        self.depthwise = 0
        self.bytes = 0

    @property
    def operations(self) -> int:
        """Of the matrix products."""
        return sum(count * product.operations for product, count in self.products.items())

    def figures(self) -> dict[str, int]:
        return {"matrices": self.operations, "depthwise": self.depthwise, "bytes": self.bytes}

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:  # noqa: ARG002
        output = func(*args, **(kwargs or {}))
        found = _products(func, args, output)
        if found:
            self.bytes += sum(each.nbytes for each in (*args, *_tuple(output)) if isinstance(each, Tensor))
        for product, count, grouped in found:
            if grouped:
                self.depthwise += count * product.operations
            else:
                self.products[product] += count
        return output


def operations_of(function: Callable[[], object]) -> Operations:
    with Operations() as found:
        function()
    return found


def bare_products(products: Counter[MatrixProduct], dtype: torch.dtype, device: torch.device) -> Callable[[], None]:
    """A function that computes these products alone, one after the other: the machine's rate at these shapes."""
    largest = [max(math.prod(size) for size in sizes) for sizes in zip(*map(_sizes, products), strict=True)]
    left, right, out = (torch.randn(size, device=device, dtype=dtype) for size in largest)

    def compute() -> None:
        for product, count in products.items():
            sizes = _sizes(product)
            a, b, c = (x[: math.prod(s)].view(s) for x, s in zip((left, right, out), sizes, strict=True))
            for _ in range(count):
                torch.mm(a, b, out=c)

    return compute


def _sizes(product: MatrixProduct) -> tuple[tuple[int, int], ...]:
    rows, inner, columns = product
    return (rows, inner), (inner, columns), (rows, columns)


def _products(func: Any, args: tuple, output: Any) -> list[tuple[MatrixProduct, int, bool]]:
    """The products of one call, how many of each, and whether they belong to a grouped convolution."""
    called = func.overloadpacket
    if called in (ATEN.mm, ATEN.addmm):
        left, right = args[-2:]
        return [(MatrixProduct(left.shape[0], left.shape[1], right.shape[1]), 1, False)]
    if called in (ATEN.bmm, ATEN.baddbmm):
        left, right = args[-2:]
        return [(MatrixProduct(left.shape[1], left.shape[2], right.shape[2]), left.shape[0], False)]
    if called == ATEN.convolution:
        return [_convolution(output, args[1], args[8])]
    if called == ATEN.convolution_backward:
        (rows, inner, columns), groups, grouped = _convolution(args[0], args[2], args[9])
        of_inputs, of_weights = MatrixProduct(rows, columns, inner), MatrixProduct(columns, rows, inner)
        return [
            (each, groups, grouped)
            for each, needed in zip((of_inputs, of_weights), args[10][:2], strict=True)
            if needed
        ]
    name = func._schema.name
    if name.startswith("aten::_scaled_dot_product"):
        backward = "backward" in name
        query, key = args[1:3] if backward else args[:2]
        heads, (length, width), keys = math.prod(query.shape[:2]), query.shape[2:], key.shape[2]
        scores, sums = MatrixProduct(length, width, keys), MatrixProduct(length, keys, width)
        return [(scores, heads * (2 if backward else 1), False), (sums, heads * (3 if backward else 1), False)]
    return []


def _convolution(output: Tensor, weight: Tensor, groups: int) -> tuple[MatrixProduct, int, bool]:
    """output (B, C, h, w) and weight (C, inputs / groups, kernel, kernel)."""
    places = output.numel() // output.shape[1]
    product = MatrixProduct(places, math.prod(weight.shape[1:]), output.shape[1] // groups)
    return product, groups, groups > 1


def _tuple(output: Any) -> tuple:
    return output if isinstance(output, tuple) else (output,)
