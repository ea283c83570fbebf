"""The names of what can run a model; in a module of its own, as the command line's help shows them."""

from __future__ import annotations

from enum import Enum


class Engine(str, Enum):
    """torch runs a run; onnx, which is ONNX Runtime, what `kaleidobert export` made of one, without torch."""

    torch = "torch"
    onnx = "onnx"
