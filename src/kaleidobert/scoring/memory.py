"""The retrieval memory: an optional file beside a model, ``memory.safetensors``, that only ranking uses."""

from __future__ import annotations

import os
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from kaleidobert.errors import InputError
from kaleidobert.scoring.cross_modal_memory import CrossModalMemory
from kaleidobert.scoring.layout_memory import LayoutMemory

MEMORY_FILE = "memory.safetensors"


class RetrievalMemory(nn.Module):
    """The memory of the training products: ``pairs`` of embeddings, and photo ``layouts`` with their texts."""

    def __init__(self, pairs: CrossModalMemory, layouts: LayoutMemory) -> None:
        super().__init__()
        self.pairs = pairs
        self.layouts = layouts

    def save(self, run: Path) -> None:
        """Write it into a run folder, replacing an earlier one."""
        scratch = run / f"{MEMORY_FILE}.part"
        tensors = {name: tensor.cpu().contiguous() for name, tensor in self.state_dict().items()}
        save_file(tensors, scratch, metadata={"format": "pt", "padding": str(self.layouts.padding)})
        os.replace(scratch, run / MEMORY_FILE)

    @classmethod
    def load(cls, run: Path) -> RetrievalMemory | None:
        """The memory of a run; None if it has none. Raises ``InputError`` for a damaged file."""
        file = run / MEMORY_FILE
        if not file.is_file():
            return None
        try:
            with safe_open(file, "pt") as opened:
                tensors: dict[str, Tensor] = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
                padding = int(opened.metadata()["padding"])
            parts = {
                part: {name.removeprefix(part): each for name, each in tensors.items() if name.startswith(part)}
                for part in ("pairs.", "layouts.")
            }
            return cls(CrossModalMemory(**parts["pairs."]), LayoutMemory(parts["layouts."], padding))
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{file} is damaged ({' '.join(str(error).split())}): delete it, and build it again with "
                f"kaleidobert fit-ranker DATA --model {run}"
            ) from error
