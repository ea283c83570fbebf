"""Draw which packages of kaleidobert import which, as a Mermaid graph.

python benchmarks/import_graph.py                                # print it
python benchmarks/import_graph.py --write docs/architecture.md   # replace the graph in the document

Imports inside functions count, those for type checkers alone do not. An arrow that follows from others (a -> c, where
a -> b -> c) is left out.
"""

from __future__ import annotations

import argparse
import ast
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "src" / "kaleidobert"
MERMAID = re.compile(r"```mermaid\n.*?```\n", re.DOTALL)
Graph = dict[str, set[str]]


def package_graph(root: Path) -> Graph:
    """Each top-level part (package or module) of the package at ``root``, with the parts that it imports."""
    graph: Graph = {}
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        if parts[0] not in ("__init__", "__main__"):
            found = graph.setdefault(parts[0], set())
            found |= imported_parts(path.read_text(), root.name, (root.name, *parts)) - {parts[0]}
    return {part: found & set(graph) for part, found in sorted(graph.items())}


def imported_parts(source: str, package: str, module: tuple[str, ...]) -> set[str]:
    """Second parts of the dotted names that a module imports from ``package``."""
    names: set[str] = set()
    for node in runtime_nodes(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = [*module[: len(module) - node.level]] if node.level else []
            base += [node.module] if node.module else []
            names |= {".".join([*base, alias.name]) for alias in node.names}
    return {name.split(".")[1] for name in names if name.startswith(f"{package}.")}


def runtime_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes, without those under ``if TYPE_CHECKING``."""
    yield node
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING"):
            yield from runtime_nodes(child)


def reduced(graph: Graph) -> Graph:
    """The same reachability with as few edges as possible (the transitive reduction where there is no cycle)."""
    kept = {part: set(found) for part, found in graph.items()}
    for part, found in graph.items():
        for other in sorted(found):
            kept[part].remove(other)
            if other not in reachable(kept, part):
                kept[part].add(other)
    return kept


def reachable(graph: Graph, start: str) -> set[str]:
    seen: set[str] = set()
    waiting = list(graph[start])
    while waiting:
        part = waiting.pop()
        if part not in seen:
            seen.add(part)
            waiting += graph[part]
    return seen


def mermaid(graph: Graph) -> str:
    lines = [f"  {part} --> {other}" for part, found in reduced(graph).items() for other in sorted(found)]
    return "\n".join(["```mermaid", "graph TD", *lines, "```", ""])


def main(given: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", type=Path, help="a Markdown file with one Mermaid graph, to be replaced")
    arguments = parser.parse_args(given)
    drawn = mermaid(package_graph(PACKAGE))
    if not arguments.write:
        print(drawn, end="")
        return
    text, count = MERMAID.subn(drawn, arguments.write.read_text())
    if count != 1:
        parser.error(f"{arguments.write} has {count} Mermaid graphs; it should have one")
    arguments.write.write_text(text)


if __name__ == "__main__":
    main()
