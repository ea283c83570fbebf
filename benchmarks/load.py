"""How a real service bears load: throughput, latency and refusals by the number of clients, and a long overload.

kaleidobert demo --out demo --no-serve
python benchmarks/load.py --store demo/store --minutes 10 --json load.json

The service runs on a copy of the store. Every request is another query, three words of the catalogue, so that no cache
answers it. Each client waits for its answer, or as long as Retry-After says, before its next request.

In the overload, requests arrive at random moments, four times as many a second as the service can answer, and a product
is written every two seconds. The p95 of those that are answered is held against twice that of a single client plus the
queue's deadline. The clients run on the same machine and take their share of its cores.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import random
import shutil
import tempfile
import time
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import numpy as np
from rich.console import Console
from rich.table import Table

from common import write_json
from kaleidobert.index.opening import open_index
from kaleidobert.server.batching import MAX_WAIT
from service import HEADERS, Service

WARM_UP = 20  # requests before anything is measured
WRITE_SECONDS = 2.0  # between writes
WRITTEN = 50  # products that are written in turn, so that the store does not grow
MEMORY_SECONDS = 5.0  # between readings of the memory


class Outcome(NamedTuple):
    """The status of an answer, 0 where there was none; the seconds that it took, and those to wait before the next."""

    status: int
    seconds: float
    retry_after: float = 0.0


class Shoppers:
    """Clients of one service that ask for random ``words``."""

    def __init__(self, http: httpx.AsyncClient, words: Sequence[str], seed: int) -> None:
        self._http = http
        self._words = words
        self._random = random.Random(seed)

    async def ask(self) -> Outcome:
        query = " ".join(self._random.choices(self._words, k=3))
        started = time.perf_counter()
        try:
            answer = await self._http.post("/api/search", json={"query": query})
        except httpx.HTTPError:
            return Outcome(0, time.perf_counter() - started)
        seconds = time.perf_counter() - started
        return Outcome(answer.status_code, seconds, float(answer.headers.get("retry-after", 0)))

    async def take_turns(self, clients: int, seconds: float) -> dict[str, Any]:
        """Figures of ``clients`` that ask again and again."""
        end, outcomes = time.perf_counter() + seconds, []

        async def shopper() -> None:
            while time.perf_counter() < end:
                outcomes.append(outcome := await self.ask())
                await asyncio.sleep(outcome.retry_after)

        await asyncio.gather(*(shopper() for _ in range(clients)))
        return figures(outcomes, seconds)

    async def arrive(self, a_second: float, seconds: float) -> list[asyncio.Task[Outcome]]:
        """Requests at random moments, whatever is answered; returns when the last has been sent."""
        tasks, due = [], time.perf_counter()
        end = due + seconds
        while (due := due + self._random.expovariate(a_second)) < end:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            tasks.append(asyncio.create_task(self.ask()))
        return tasks

    async def recover(self, normal: float) -> float:
        """Seconds until a request is answered within ``normal`` seconds."""
        started = time.perf_counter()
        while True:
            outcome = await self.ask()
            if outcome.status == 200 and outcome.seconds <= normal:
                return time.perf_counter() - started - outcome.seconds


def figures(outcomes: Sequence[Outcome], seconds: float) -> dict[str, Any]:
    """Throughput, milliseconds of what was answered, and the shares of 503 and of all other failures in percent."""
    times = [1000 * each.seconds for each in outcomes if each.status == 200]
    p50, p95 = np.quantile(times, [0.5, 0.95]) if times else (np.nan, np.nan)
    refused = sum(each.status == 503 for each in outcomes)
    return {
        "requests": len(outcomes),
        "answers a second": round(len(times) / seconds, 1),
        "p50": round(float(p50), 1),
        "p95": round(float(p95), 1),
        "503 %": round(100 * refused / len(outcomes), 1),
        "failed %": round(100 * (len(outcomes) - len(times) - refused) / len(outcomes), 2),
    }


async def write_products(http: httpx.AsyncClient, words: Sequence[str], photo: bytes, statuses: list[int]) -> None:
    """Write products until cancelled; appends the status of each answer."""
    for number in count():
        photos = [base64.b64encode(photo).decode()]
        product = {"id": f"written-{number % WRITTEN}", "title": words[number % len(words)], "photos": photos}
        answer = await http.put("/api/products", json={"products": [product]}, headers=HEADERS)
        statuses.append(answer.status_code)
        await asyncio.sleep(WRITE_SECONDS)


async def read_memory(service: Service, memory: dict[int, int]) -> None:
    """Add the memory in MB at each second that it is read, until cancelled."""
    started = time.perf_counter()
    while True:
        memory[round(time.perf_counter() - started)] = round(service.memory())
        await asyncio.sleep(MEMORY_SECONDS)


async def overload(
    shoppers: Shoppers, rate: float, minutes: float, alone: dict[str, Any], background: Sequence[Any]
) -> dict[str, Any]:
    """Figures of ``rate`` requests a second beside the coroutines ``background``; ``alone``: those of one client."""
    beside = [asyncio.create_task(each) for each in background]
    tasks = await shoppers.arrive(rate, 60 * minutes)
    recovery = await shoppers.recover(2 * alone["p95"] / 1000)
    found = figures(await asyncio.gather(*tasks), 60 * minutes)
    for each in beside:
        each.cancel()
    limit = round(2 * alone["p95"] + 1000 * MAX_WAIT, 1)
    return found | {"p95 limit": limit, "kept": found["p95"] <= limit, "seconds to recover": round(recovery, 2)}


async def measure(service: Service, words: Sequence[str], photo: bytes, given: argparse.Namespace) -> dict[str, Any]:
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=2)
    async with httpx.AsyncClient(base_url=service.address, limits=limits, timeout=60) as http:
        shoppers = Shoppers(http, words, given.seed)
        for _ in range(WARM_UP):
            await shoppers.ask()
        rows = []
        for clients in [1, *map(int, given.clients.split(","))]:
            rows.append({"clients": str(clients)} | await shoppers.take_turns(clients, given.seconds))
        found: dict[str, Any] = {"turns": rows}
        if given.minutes:
            memory: dict[int, int] = {}
            writes: list[int] = []
            background = [read_memory(service, memory), write_products(http, words, photo, writes)]
            rate = given.times * max(row["answers a second"] for row in rows)
            found["overload"] = await overload(shoppers, rate, given.minutes, rows[0], background)
            found["overload"] |= {"writes": len(writes), "writes stored": writes.count(200), "memory": memory}
            rows.append({"clients": "1 afterwards"} | await shoppers.take_turns(1, given.seconds))
        return found


def main(given: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", required=True)
    parser.add_argument("--clients", default="4,16,64,256", help="numbers of clients, beside a single one")
    parser.add_argument("--seconds", type=float, default=20, help="of each number of clients")
    parser.add_argument("--minutes", type=float, default=10, help="of overload; 0 for none")
    parser.add_argument("--times", type=float, default=4, help="the overload, in multiples of the best throughput")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args(given)

    index = open_index(arguments.store)
    words = sorted(word for word in index.words() if len(word) > 3)
    product_id = min(index.product_ids())
    photo = index.thumbnails([(product_id, 0)])[product_id, 0]
    with tempfile.TemporaryDirectory() as folder:
        with Service(str(shutil.copytree(arguments.store, Path(folder, "store")))) as service:
            found = asyncio.run(measure(service, words, photo, arguments))
    show(found)
    write_json({"rows": index.rows(), **found}, arguments.json)


def show(found: dict[str, Any]) -> None:
    table = Table(title="milliseconds: p50, p95 of the answered")
    for name in found["turns"][0]:
        table.add_column(name, justify="right")
    for row in found["turns"]:
        table.add_row(*map(str, row.values()))
    console = Console(width=120)
    console.print(table)
    for name, value in found.get("overload", {}).items():
        console.print(f"{name}: {value}", highlight=False)


if __name__ == "__main__":
    main()
