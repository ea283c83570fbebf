"""``locks/`` pins what pyproject.toml asks for; ``make lock`` writes it anew."""

import re
from importlib.metadata import metadata, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

LOCKS = Path(__file__).parents[1] / "locks"


def pins(lock):
    """Name -> version of what is installed on this machine."""
    found = {}
    for line in re.findall(r"^[a-zA-Z].*?(?= \\$)", (LOCKS / lock).read_text(), re.MULTILINE):
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate():
            found[canonicalize_name(requirement.name)] = str(requirement.specifier).removeprefix("==")
    return found


@pytest.mark.parametrize("lock", ["all.txt", "cuda.txt", "serve.txt", "torch.txt"])
def test_each_version_has_hashes_and_no_address(lock):
    text = (LOCKS / lock).read_text()
    assert "://" not in text
    assert all(
        re.match(r"[\w.-]+==[^ ]+.*\\\n    --hash=sha256:", each) for each in re.split(r"\n(?=[a-zA-Z])", text)[1:]
    )


def test_what_the_package_asks_for_is_pinned():
    pinned = pins("all.txt")
    extras = ["", *metadata("kaleidobert").get_all("Provides-Extra")]
    asked = [Requirement(each) for each in requires("kaleidobert")]
    missing = [
        str(each)
        for each in asked
        if (each.marker is None or any(each.marker.evaluate({"extra": extra}) for extra in extras))
        and (name := canonicalize_name(each.name)) != "kaleidobert"
        and (name not in pinned or pinned[name] not in each.specifier)
    ]
    assert not missing, "run make lock"
