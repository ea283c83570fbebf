"""The search benchmark and the contact sheets, on the tiny shop."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path

from PIL import Image

from fixtures.shop import Shop


def test_recall_and_latency_are_measured_for_every_k_and_number_of_users(
    shop: Shop, catalogue_file: Path, tmp_path: Path
) -> None:
    line = [str(catalogue_file), "--split", "train", "--store", shop.uri, "--queries", "4", "--rerank", "0,3"]
    out = ["--json", str(tmp_path / "search.json"), "--picture", str(tmp_path / "search.png")]
    import_module("search").main([*line, "--users", "1,2", *out])
    figures = json.loads((tmp_path / "search.json").read_text())
    assert figures["queries"] == 4
    assert [(row["K"], row["users"]) for row in figures["figures"]] == [(0, 1), (0, 2), (3, 1), (3, 2)]
    by_embeddings, reranked = figures["figures"][0], figures["figures"][2]
    assert reranked["rerank"]["p50"] > by_embeddings["rerank"]["p50"] and by_embeddings["whole"]["p95"] > 0
    assert Image.open(tmp_path / "search.png").width > 500


def test_a_sheet_has_a_row_per_query(shop: Shop, tmp_path: Path) -> None:
    heights = []
    for queries in (["red bag"], ["red bag", "blue bag"]):
        (tmp_path / "queries.txt").write_text("\n".join(queries) + "\n\n")
        line = ["search", "--store", shop.uri, "--queries", str(tmp_path / "queries.txt"), "--top", "3"]
        import_module("sheets").main([*line, "--out", str(tmp_path / "sheet.png")])
        heights.append(Image.open(tmp_path / "sheet.png").height)
    assert heights[1] > 1.5 * heights[0]


def test_captions_are_drawn_beside_their_photos(catalogue_file: Path, tmp_path: Path) -> None:
    rows = [{"id": f"p{number:02d}", "caption": "a bag", "text": "red bag"} for number in range(8)]
    (tmp_path / "captions.json").write_text(json.dumps(rows))
    line = ["captions", str(catalogue_file), "--split", "train", "--captions", str(tmp_path / "captions.json")]
    sizes = []
    for products in ("1", "8"):
        import_module("sheets").main([*line, "--products", products, "--out", str(tmp_path / "sheet.png")])
        sizes.append(Image.open(tmp_path / "sheet.png").height)
    assert sizes[1] > 1.5 * sizes[0]
