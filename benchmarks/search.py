"""What re-ranking gives and costs: recall of products by their titles, and latency of each stage, over K.

kaleidobert index DATA --split test --model RUN --store test.store
python benchmarks/search.py DATA --store test.store --queries 500 --json search.json --picture search.png

Queries are titles of the split; a hit is the product itself or one with the same title. K candidates are re-ranked;
0 is the order by vectors alone. Where validation gave the joint model no weight, every K is the
same. Users ask one after the other, without a pause, in threads of one process.
"""

from __future__ import annotations

import argparse
import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from kaleidobert.data.readers import read_products
from kaleidobert.search.query import Query
from kaleidobert.search.ranker import STAGES, Ranker

TOP = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--store", required=True)
    parser.add_argument("--split", default="test")
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rerank", default="0,10,25,50,100,200", help="values of K")
    parser.add_argument("--users", default="1,8")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--picture", type=Path)
    arguments = parser.parse_args()

    ranker = Ranker.open(arguments.store)
    weight = ranker.model.config.joint_weight
    titles = sorted({product.title for product in read_products(arguments.data, arguments.split)})
    count = min(arguments.queries, len(titles))
    queries = np.random.default_rng(arguments.seed).choice(titles, count, replace=False).tolist()
    rows = []
    for rerank in map(int, arguments.rerank.split(",")):
        for users in map(int, arguments.users.split(",")):
            ranker.forget()
            rows.append({"K": rerank, "users": users} | measure(ranker, queries, rerank, users))
    figures = {"queries": count, "rows": ranker.store.rows(), "joint_weight": weight, "figures": rows}
    show(rows)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")
    if arguments.picture:
        draw(rows, arguments.picture)


def measure(ranker: Ranker, queries: list[str], rerank: int, users: int) -> dict:
    """Recall in percent, and milliseconds at the middle and at 95 % of the whole and of each stage."""

    def ask(text: str) -> tuple[int, dict[str, float]]:
        started = time.perf_counter()
        answer = ranker.answer(Query(text, top=TOP, rerank=rerank))
        seconds = answer.seconds | {"whole": time.perf_counter() - started}
        same = [hit.rank for hit in answer.hits if hit.product.title == text]
        return min(same, default=TOP + 1), seconds

    ask("warm up")
    started = time.perf_counter()
    with ThreadPoolExecutor(users) as pool:
        outcomes = list(pool.map(ask, queries))
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
    """Quality over latency, a point a K, a line a number of users."""
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
