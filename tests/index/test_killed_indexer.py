"""An indexer killed at any time: products that it reported as stored are found, and the store can be searched."""

from __future__ import annotations

import multiprocessing
import random
import time
from pathlib import Path

import numpy as np
import pytest

from fixtures.killed_indexer import COUNT, index
from kaleidobert.index.lancedb_store import LanceDBIndex
from kaleidobert.index.records import Candidate

KILLS = 20


@pytest.fixture(scope="module")
def processes():
    """A context for processes that start with the slow imports done."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["kaleidobert.search.ranker"])
    return context


class Run:
    """An indexer in its own process, with its model loaded."""

    def __init__(self, processes, uri: str, folder: Path, revision: int, log: Path, new_version: bool = False) -> None:
        waiting, ready = processes.Pipe(duplex=False)
        arguments = (uri, folder, revision, log, new_version, ready)
        self.process = processes.Process(target=index, args=arguments)
        self.process.start()
        ready.close()
        assert waiting.recv() == "loaded"
        self.started = time.perf_counter()

    def finished(self) -> float:
        """Wait for the end; returns the seconds since the start."""
        self.process.join(120)
        assert self.process.exitcode == 0
        return time.perf_counter() - self.started

    def killed_after(self, seconds: float) -> bool:
        """Kill it after this time; returns False if it had finished before."""
        self.process.join(seconds)
        self.process.kill()
        self.process.join()
        return self.process.exitcode == -9


def acknowledged(log: Path) -> dict[str, int]:
    """Product id -> the last revision that was reported as stored."""
    lines = [line.split() for line in log.read_text().splitlines(keepends=True) if line.endswith("\n")]
    return {product_id: int(revision) for revision, product_id in lines}


def stored_products(uri: str) -> dict[str, Candidate]:
    """All products that a search finds, with complete rows; {} when there is no store yet."""
    store = LanceDBIndex.find(uri, refresh_seconds=0)
    if store is None:
        return {}
    found = {hit.id: hit for hit in store.recall(np.ones(16), 10 * COUNT)}
    keys = [(hit.id, hit.view) for hit in found.values()]
    assert set(store.states(keys)) == set(store.thumbnails(keys)) == set(keys)
    assert set(store.contents()) == set(found) and store.rows() == len(found)
    return found


def revision_of(hit: Candidate) -> int:
    return int(hit.attributes["revision"])


def test_twenty_kills_lose_no_acknowledged_product(processes, tmp_path: Path, model_folder: Path) -> None:
    uri, log, rng = str(tmp_path / "store"), tmp_path / "acknowledged", random.Random(3)
    log.touch()
    seconds = Run(processes, str(tmp_path / "timed"), model_folder, 0, tmp_path / "timed.log").finished()
    kills = revision = 0
    while kills < KILLS:
        revision += 1
        assert revision < 3 * KILLS, "the indexer finishes before it can be killed"
        moment = rng.uniform(0, 0.8 * seconds)  # the first run is the slowest
        kills += Run(processes, uri, model_folder, revision, log).killed_after(moment)
        expected, found = acknowledged(log), stored_products(uri)
        new = sum(each == revision for each in expected.values())
        print(f"run {revision} killed after {moment:.2f} s: {new} of {COUNT} products acknowledged, {len(found)} there")
        lost = [each for each, least in expected.items() if each not in found or revision_of(found[each]) < least]
        assert not lost
    Run(processes, uri, model_folder, revision + 1, log).finished()
    assert {revision_of(hit) for hit in stored_products(uri).values()} == {revision + 1}


def test_a_killed_new_version_leaves_the_old_one_and_is_finished_later(
    processes, tmp_path: Path, model_folder: Path, other_model_folder: Path
) -> None:
    uri, log, rng = str(tmp_path / "store"), tmp_path / "acknowledged", random.Random(4)
    seconds = Run(processes, uri, model_folder, 0, log).finished()
    before = LanceDBIndex.open(uri).info.fingerprint
    for _ in range(3):
        Run(processes, uri, other_model_folder, 1, log, new_version=True).killed_after(rng.uniform(0, 0.5 * seconds))
        assert LanceDBIndex.open(uri).info.fingerprint == before
        assert {revision_of(hit) for hit in stored_products(uri).values()} == {0}
    Run(processes, uri, other_model_folder, 1, log, new_version=True).finished()
    assert LanceDBIndex.open(uri).number == 2 and LanceDBIndex.open(uri).info.fingerprint != before
    assert {revision_of(hit) for hit in stored_products(uri).values()} == {1}
    again = [line for line in log.read_text().splitlines() if line.startswith("1 ")]
    assert len(again) < 1.5 * COUNT  # apart from its last write, what a killed run had stored is not embedded again
