"""The retrieval memory: an optional file beside a model, ``memory.safetensors``, that only ranking uses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from kaleidobert.files import replacing
from kaleidobert.scoring.cross_modal_memory import CrossModalMemory
from kaleidobert.scoring.layout_memory import LayoutMemory
from kaleidobert.scoring.memory_file import MEMORY_FILE, key_of, reading_memory


class RetrievalMemory(nn.Module):
    """The memory of M training products: ``pairs`` of embeddings, and photo ``layouts`` with their texts.

    ``products`` (M,) int64: `product_keys` of their ids, by which a product is kept from recalling itself.
    """

    products: Tensor

    def __init__(self, pairs: CrossModalMemory, layouts: LayoutMemory, products: Tensor) -> None:
        super().__init__()
        self.pairs = pairs
        self.layouts = layouts
        self.register_buffer("products", products)

    @cached_property
    def _row_of(self) -> dict[int, int]:
        return {key: row for row, key in enumerate(self.products.tolist())}

    def rows(self, ids: Sequence[str]) -> Tensor:
        """The memory row (N,) of each of these products, -1 where it is not a training product."""
        found = [self._row_of.get(key, -1) for key in product_keys(ids).tolist()]
        return torch.tensor(found, device=self.products.device)

    def save(self, run: Path) -> None:
        """Write it into a run folder, replacing an earlier one."""
        tensors = {name: tensor.cpu().contiguous() for name, tensor in self.state_dict().items()}
        with replacing(run / MEMORY_FILE) as scratch:
            save_file(tensors, scratch, metadata={"format": "pt", "padding": str(self.layouts.padding)})

    @classmethod
    def load(cls, run: Path) -> RetrievalMemory | None:
        """The memory of a run; None if it has none. Raises ``InputError`` for a damaged file."""
        file = run / MEMORY_FILE
        if not file.is_file():
            return None
        with reading_memory(file):
            with safe_open(file, "pt") as opened:
                tensors: dict[str, Tensor] = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
                padding = int(opened.metadata()["padding"])
            parts = {
                part: {name.removeprefix(part): each for name, each in tensors.items() if name.startswith(part)}
                for part in ("pairs.", "layouts.")
            }
            pairs, layouts = CrossModalMemory(**parts["pairs."]), LayoutMemory(parts["layouts."], padding)
            return cls(pairs, layouts, tensors["products"])


def product_keys(ids: Iterable[str]) -> Tensor:
    """`key_of` each of these product ids, (N,) int64."""
    return torch.tensor([key_of(each) for each in ids], dtype=torch.int64)
