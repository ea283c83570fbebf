"""`kaleidobert serve` as a process of its own, for the scripts of this folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from types import TracebackType

import psutil

TOKEN = "the-token-of-the-benchmarks"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}  # of writes


class Service:
    """A service of ``store`` on a free port of this machine, which accepts writes with ``TOKEN``.

    As a context it is ended at the exit. Raises ``RuntimeError`` when it does not start; its log says why.
    """

    def __init__(self, store: str) -> None:
        command = [sys.executable, "-m", "kaleidobert", "serve", "--store", store, "--port", "0"]
        environment = os.environ | {"KALEIDOBERT_TOKENS": TOKEN}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        assert self.process.stdout
        found = re.search(r"http://[\d.:]+", self.process.stdout.readline())  # printed once the model is loaded
        if found is None:
            self.kill()
            raise RuntimeError(f"the service of {store} does not start")
        self.address = found[0]

    def memory(self) -> float:
        """The process's resident memory in MB."""
        return psutil.Process(self.process.pid).memory_info().rss / 1e6

    def kill(self) -> None:
        """End it by SIGKILL."""
        self.process.kill()
        self._wait()

    def __enter__(self) -> Service:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.process.terminate()
        self._wait()

    def _wait(self) -> None:
        self.process.wait()
        assert self.process.stdout
        self.process.stdout.close()
