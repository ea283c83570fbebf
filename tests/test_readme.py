"""The documentation is true: examples run word for word, commands parse, links lead somewhere, the map is complete."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from PIL import Image, ImageDraw

import kaleidobert
from kaleidobert.cli.main import app

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
CURRENT = [page for page in PAGES if page.parent.name != "experiments"]  # experiments quote commands as they were run
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
EXAMPLES = [body for language, body in FENCE.findall(README) if language == "python"]


def page_name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.fixture
def workplace(model_folder: Path, tmp_path: Path) -> Path:
    """A folder with a tiny run in runs/shop and two photos."""
    shutil.copytree(model_folder, tmp_path / "runs" / "shop")
    for name, colour in (("shoe", "white"), ("boot", "brown")):
        photo = Image.new("RGB", (60, 80), "gray")
        ImageDraw.Draw(photo).ellipse((10, 30, 50, 60), fill=colour)
        photo.save(tmp_path / f"{name}.jpg")
    return tmp_path


def values(example: str, expressions: str, folder: Path) -> Any:
    """Run an example in a fresh process, and return these Python expressions of its names."""
    code = f"{example}\nimport json\nprint(json.dumps([{expressions}]))"
    environment = os.environ | {"PYTHONPATH": str(Path(kaleidobert.__file__).parents[1])}
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr[-2000:]
    return json.loads(run.stdout.splitlines()[-1])


def test_the_example_with_the_scorer_runs(workplace: Path) -> None:
    scores, hits = values(EXAMPLES[0], "scores.tolist(), hits", workplace)
    assert len(scores) == 1
    assert sorted(hit["index"] for hit in hits) == [0, 1] and hits[0]["score"] >= hits[1]["score"]
    assert {hit["index"]: hit["score"] for hit in hits}[0] == pytest.approx(scores[0], abs=1e-4)


def test_the_example_with_the_auto_classes_runs(workplace: Path) -> None:
    norms = "[embeds.norm(dim=-1).item() for embeds in (image.image_embeds, text.text_embeds)]"
    cosine, lengths = values(EXAMPLES[1], f"cosine.tolist(), {norms}", workplace)
    assert len(cosine) == 1 and -1 <= cosine[0] <= 1
    assert lengths == pytest.approx([1, 1], abs=1e-4)


def test_every_example_has_a_test() -> None:
    assert len(EXAMPLES) == 2


def commands(text: str) -> Iterator[str]:
    """Command lines of fenced blocks, their continuation lines joined, and of inline code."""
    for language, body in FENCE.findall(text):
        if language in ("", "sh", "bash"):
            yield from re.sub(r"\s*\\?\n[ \t]+", " ", body).splitlines()
    for paragraph in FENCE.sub("", text).split("\n\n"):
        yield from re.findall(r"`([^`]+)`", re.sub(r"\s+", " ", paragraph))


def program_lines(text: str) -> list[list[str]]:
    """The arguments of every call of kaleidobert, alone, after variables, or as a module."""
    found = []
    for line in commands(text):
        if not re.match(r"(\w+=\S+ )*(kaleidobert|torchrun .*-m kaleidobert) ", line) or "[--" in line:
            continue  # the last: a summary of the syntax
        words = shlex.split(line, comments=True)
        found.append(words[words.index("kaleidobert") + 1 :])
    return found


@pytest.mark.parametrize("page", CURRENT, ids=page_name)
def test_every_command_line_is_one_that_the_program_has(page: Path) -> None:
    program: Any = typer.main.get_command(app)
    for words in program_lines(page.read_text()):
        verb, arguments = words[0], words[1:]
        assert verb in program.commands, f"no verb {verb}"
        command = program.commands[verb]
        if subcommands := getattr(command, "commands", None):
            chosen, *arguments = arguments
            assert set(chosen.split("|")) <= set(subcommands), f"{verb} has no {chosen}"
            command = subcommands[chosen.split("|")[0]]
        options = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
        given = {word for word in arguments if re.match(r"--[a-z]", word)}
        assert given <= options, f"{verb} has no {given - options}"
        if len(given) > 0 and "..." not in arguments:
            command.make_context(verb, list(arguments))  # parses, and runs nothing


def test_command_lines_are_found_and_wrong_ones_refused() -> None:
    lines = [words for words in program_lines(README) if words[0] == "search"]
    assert len(lines) == 2 and "--avoid" in lines[1] and "stripes" in lines[1]
    text = "```\nA=1 kaleidobert train x --out y\n  --set a=b   # why\n```\nand `kaleidobert serve --sotre x`\n"
    assert program_lines(text) == [["train", "x", "--out", "y", "--set", "a=b"], ["serve", "--sotre", "x"]]


@pytest.mark.parametrize("page", CURRENT, ids=page_name)
def test_every_script_and_make_target_exists(page: Path) -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for line in commands(page.read_text()):
        if script := re.search(r"python (benchmarks/\w+\.py)", line):
            assert (ROOT / script[1]).is_file(), line
        if target := re.match(r"make (\w+)", line):
            assert target[1] in targets, line


@pytest.mark.parametrize("page", CURRENT, ids=page_name)
def test_every_module_that_is_named_exists(page: Path) -> None:
    for line in commands(page.read_text()):
        if re.fullmatch(r"[a-z_]+(/\w+)*\.py|(src|tests|benchmarks)/[\w/.]+", line):
            assert (ROOT / line).exists() or (ROOT / "src" / "kaleidobert" / line).exists(), line


def anchors(page: Path) -> set[str]:
    """The names that GitHub gives to a page's headings."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    for link in LINK.findall(FENCE.sub("", page.read_text())):
        if not re.match(r"\w+:", link):
            path, _, anchor = link.partition("#")
            target = (page.parent / path).resolve() if path else page
            assert target.exists(), link
            assert not anchor or anchor in anchors(target), link


def test_every_experiment_is_in_the_index_and_every_picture_in_use() -> None:
    links = {
        (page.parent / link.partition("#")[0]).resolve() for page in PAGES for link in LINK.findall(page.read_text())
    }
    made = [*(ROOT / "docs" / "images").iterdir(), *(ROOT / "docs").rglob("*.md")]
    assert [str(path.relative_to(ROOT)) for path in made if path not in links] == []


def test_the_map_names_the_packages_that_there_are() -> None:
    table = README.partition("## Map")[2].partition("\n## ")[0]
    named = re.findall(r"^\| `(\w+)/` \|", table, re.MULTILINE)
    folder = Path(kaleidobert.__file__).parent
    assert sorted(named) == sorted(path.parent.name for path in folder.glob("*/__init__.py"))
