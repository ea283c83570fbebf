"""Ask a store a list of queries and draw one row of hits each, with the time that each stage took.

python benchmarks/search_sheet.py --store shop.store --queries benchmarks/queries.txt --out sheet.png
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import median

from kaleidobert.scoring.pair_scorer import RERANK
from kaleidobert.search.contact_sheet import result_sheets
from kaleidobert.search.query import Query
from kaleidobert.search.ranker import STAGES, Ranker


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", required=True)
    parser.add_argument("--queries", type=Path, required=True, help="a text file, one query a line")
    parser.add_argument("--out", type=Path, required=True, help="the picture to write")
    parser.add_argument("--rerank", type=int, default=RERANK, help="candidates that the joint model reads")
    parser.add_argument("--top", type=int, default=8)
    arguments = parser.parse_args()

    ranker = Ranker.open(arguments.store)
    queries = [line.strip() for line in arguments.queries.read_text().splitlines() if line.strip()]
    answers = [ranker.answer(Query(query, top=arguments.top, rerank=arguments.rerank)) for query in queries]
    pairs = [(query, answer.hits) for query, answer in zip(queries, answers, strict=True)]
    result_sheets(pairs, arguments.top).save(arguments.out)
    for stage in STAGES:
        print(f"{stage}: median {1000 * median(answer.seconds[stage] for answer in answers):.1f} ms")


if __name__ == "__main__":
    main()
