"""Quality and latency of the search application over K, the number of candidates that are re-ranked.

kaleidobert index DATA --split test --model RUN --store test.store
python benchmarks/search.py DATA --store test.store --queries 500 --json search.json --picture search.png

Queries are titles of the split; a hit is the product itself or one with the same title. K = 0 ranks by embeddings
alone. Each user is a thread that sends one query after another without a pause.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from common import add_queries, catalogue_parser, write_json
from kaleidobert.benchmark.search import TOP, timed_answer
from kaleidobert.data.readers import read_products
from kaleidobert.search.query import Query
from kaleidobert.search.ranker import STAGES, Ranker


def main(given: Sequence[str] | None = None) -> None:
    parser = catalogue_parser(__doc__)
    parser.add_argument("--store", required=True)
    add_queries(parser, 500)
    parser.add_argument("--rerank", default="0,10,20,50,100,200", help="values of K")
    parser.add_argument("--users", default="1,8", help="numbers of concurrent users")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--picture", type=Path)
    arguments = parser.parse_args(given)

    titles = sorted({product.title for product in read_products(arguments.data, arguments.split)})
    count = min(arguments.queries, len(titles))
    queries = np.random.default_rng(arguments.seed).choice(titles, count, replace=False).tolist()
    rows = []
    for rerank in map(int, arguments.rerank.split(",")):
        for users in map(int, arguments.users.split(",")):
            ranker = Ranker.open(arguments.store)  # a new one, as a ranker caches its answers
            rows.append({"K": rerank, "users": users} | measure(ranker, queries, rerank, users))
    show(rows)
    write_json({"queries": count, "rows": ranker.store.rows(), "figures": rows}, arguments.json)
    if arguments.picture:
        draw(rows, arguments.picture)


def measure(ranker: Ranker, queries: list[str], rerank: int, users: int) -> dict:
    """Recall in percent, and median and 95th percentile milliseconds of each stage and of the whole."""

    def search(text: str) -> tuple[int, dict[str, float]]:
        answer, seconds = timed_answer(ranker, Query(text, top=TOP, rerank=rerank))
        same = [hit.rank for hit in answer.hits if hit.product.title == text]
        return min(same, default=TOP + 1), seconds

    search("warm up")
    started = time.perf_counter()
    with ThreadPoolExecutor(users) as pool:
        outcomes = list(pool.map(search, queries))
    per_second = len(queries) / (time.perf_counter() - started)
    ranks = np.array([rank for rank, _ in outcomes])
    figures: dict = {f"R@{k}": round(100 * float((ranks <= k).mean()), 1) for k in (1, 10)}
    figures["queries a second"] = round(per_second, 1)
    for stage in (*STAGES, "whole"):
        times = 1000 * np.array([seconds[stage] for _, seconds in outcomes])
        figures[stage] = {"p50": round(float(np.median(times)), 1), "p95": round(float(np.quantile(times, 0.95)), 1)}
    return figures


def show(rows: list[dict]) -> None:
    table = Table(title="milliseconds: p50 / p95")
    for name in rows[0]:
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(*(f"{v['p50']} / {v['p95']}" if isinstance(v, dict) else str(v) for v in row.values()))
    Console(width=150).print(table)


def draw(rows: list[dict], path: Path) -> None:
    """Quality over latency: one line per number of users, one point per K."""
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.subplots()
    for users in dict.fromkeys(row["users"] for row in rows):
        own = [row for row in rows if row["users"] == users]
        points = [row["whole"]["p95"] for row in own], [row["R@1"] for row in own]
        axes.plot(*points, marker="o", label=f"{users} user{'s' if users > 1 else ''}")
        for row in own:
            axes.annotate(f"K={row['K']}", (row["whole"]["p95"], row["R@1"]), (4, 4), textcoords="offset points")
    axes.set(xlabel="milliseconds, 95 % of queries", ylabel="R@1, %")
    axes.legend(frameon=False)
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
