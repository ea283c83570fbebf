"""How much a server and a machine that trains must install, by what is installed here (`make setup`).

python benchmarks/installed_size.py                          # a row for each of [serve] and [serve,train]
python benchmarks/installed_size.py --extras serve,ucp mcp   # of other extras

A row counts the files of kaleidobert's requirements with these extras, and of theirs.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, distribution

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PACKAGE = "kaleidobert"
LARGEST = 8  # packages that are named


def requirements(name: str, extras: frozenset[str]) -> Iterator[Requirement]:
    """What an installed package needs with these extras on this machine."""
    for line in distribution(name).requires or ():
        needed = Requirement(line)
        if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in extras or {""}):
            yield needed


def closure(name: str, extras: frozenset[str]) -> set[str]:
    """All packages that a package needs with these extras, and itself."""
    seen: set[tuple[str, frozenset[str]]] = set()
    waiting = [(name, extras)]
    while waiting:
        each = waiting.pop()
        if each not in seen:
            seen.add(each)
            found = requirements(*each)
            waiting += [(str(canonicalize_name(one.name)), frozenset(one.extras)) for one in found]
    return {name for name, _ in seen}


def megabytes(name: str) -> float:
    """The size of an installed package's files."""
    files = (file.locate() for file in distribution(name).files or ())
    return sum(file.stat().st_size for file in files if file.is_file()) / 1e6  # type: ignore[attr-defined]


def main(given: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--extras", nargs="+", default=["serve", "serve,train"], help="extras, joined by commas")
    for extras in parser.parse_args(given).extras:
        try:
            names = closure(PACKAGE, frozenset(extras.split(",")))
        except PackageNotFoundError as error:
            parser.error(f"{error.name} is not installed: run make setup")
        sizes = {name: megabytes(name) for name in names - {PACKAGE}}
        order = sorted(sizes, key=lambda name: (-round(sizes[name]), name))
        largest = ", ".join(f"{name} {sizes[name]:.0f}" for name in order[:LARGEST])
        total = sum(sizes.values())
        print(f"{PACKAGE}[{extras}]: {total:,.0f} MB in {len(sizes)} packages ({largest}, ...)")


if __name__ == "__main__":
    main()
