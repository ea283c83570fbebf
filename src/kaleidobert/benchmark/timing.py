"""Times of what is compared, measured in turns, and the limits that they are judged by."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

Times = Sequence[float]  # seconds, one for each round


@dataclass(frozen=True)
class Limit:
    """A bound of one figure of a `Row`."""

    figure: Literal["speed", "cost", "p95"]
    bound: Literal["≥", "≤"]
    value: float

    def holds(self, found: float) -> bool:
        return found >= self.value if self.bound == "≥" else found <= self.value


@dataclass(frozen=True)
class Row:
    """What was measured and, in the same rounds, its peer, if there is one."""

    what: str
    times: Times
    peer: str = ""
    peer_times: Times | None = None
    limit: Limit | None = None

    def figures(self) -> dict[str, Any]:
        """p50 and p95 in milliseconds; speed, the peer's time by ours, and cost, ours by the peer's, as medians."""
        milliseconds = 1000 * np.array(self.times)
        found = {"p50": float(np.median(milliseconds)), "p95": float(np.quantile(milliseconds, 0.95))}
        if self.peer_times is not None:
            peer = 1000 * np.array(self.peer_times)
            found["peer_p50"] = float(np.median(peer))
            found["speed"] = float(np.median(peer / milliseconds))
            found["cost"] = float(np.median(milliseconds / peer))
        figures: dict[str, Any] = {"what": self.what, "peer": self.peer}
        figures |= {name: float(f"{value:.4g}") for name, value in found.items()}
        if self.limit:
            judged = {"figure": self.limit.figure, "bound": self.limit.bound, "value": self.limit.value}
            figures["limit"] = judged | {"holds": self.limit.holds(found[self.limit.figure])}
        return figures


def interleaved(functions: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each function in each of ``rounds`` rounds, after one round that does not count.

    Functions take turns within a round, so that whatever else the machine does meets all of them.
    """
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(rounds + 1):
        for name, function in functions.items():
            _synchronise()
            started = time.perf_counter()
            function()
            _synchronise()
            seconds[name].append(time.perf_counter() - started)
    return {name: found[1:] for name, found in seconds.items()}


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.machine()
    return {"device": device, "threads": torch.get_num_threads(), "torch": torch.__version__}


def _synchronise() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
