"""Known vulnerabilities of pinned packages: ``python .ci/audit.py --requirement locks/all.txt``, as pip-audit takes it.

Fails if a database knows one. Where none can be reached, as on machines that reach package registries alone, one line
says that nothing was audited.
"""

import json
import subprocess
import sys
from typing import Any

DATABASES = ("osv", "pypi")


def main() -> None:
    """Audit by the first database that answers. Exits with what it knows, or with what is wrong with a file."""
    read = _pip_audit("--dry-run")
    if read.returncode:
        sys.exit(read.stderr)
    reasons = []
    for database in DATABASES:
        packages, reason = _ask(database)
        known = [package for package in packages if "vulns" in package]
        if known:
            _report(database, known, [package["name"] for package in packages if package not in known])
            return
        reasons.append(f"{database}: {reason or 'it knows none of the packages'}")
    print(f"not audited: no database of vulnerabilities can be reached ({'; '.join(reasons)})")


def _ask(database: str) -> tuple[list[dict[str, Any]], str]:
    """What a database says of each package, or why it says nothing."""
    answer = _pip_audit("--vulnerability-service", database)
    try:
        return json.loads(answer.stdout)["dependencies"], ""
    except ValueError:
        return [], answer.stderr.strip().rpartition("\n")[2].partition(" with url")[0][:200]


def _report(database: str, known: list[dict[str, Any]], unknown: list[str]) -> None:
    found = [
        f"{package['name']} {package['version']}: {', '.join([each['id'], *each['aliases']])}"
        f" (fixed in: {', '.join(each['fix_versions']) or 'no version yet'})"
        for package in known
        for each in package["vulns"]
    ]
    if unknown:
        print(f"not in the database {database}: {', '.join(unknown)}")
    if found:
        sys.exit("\n".join(found))
    print(f"{len(known)} packages audited by {database}: no known vulnerability")


def _pip_audit(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pip_audit", "--disable-pip", "--no-deps", "--format", "json", "--desc", "off"]
    return subprocess.run(
        [*command, "--progress-spinner", "off", *options, *sys.argv[1:]], capture_output=True, text=True
    )


if __name__ == "__main__":
    main()
