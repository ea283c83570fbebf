"""``.ci/audit.py`` with a database on this machine that answers as OSV does."""

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

pytest.importorskip("pip_audit", reason="pip-audit is not installed: pip install -e '.[dev]'")
AUDIT = Path(__file__).parents[1] / ".ci" / "audit.py"
NOWHERE = "http://127.0.0.1:9"
VULNERABILITY = {
    "id": "GHSA-1",
    "aliases": ["CVE-1"],
    "summary": "s",
    "affected": [
        {
            "package": {"ecosystem": "PyPI", "name": "shirt"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.0"}]}],
        }
    ],
}


class _Database(BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        vulnerable = asked["package"]["name"] == "shirt" and asked["version"] == "1.0"
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"vulns": [VULNERABILITY]} if vulnerable else {}).encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def database():
    with HTTPServer(("127.0.0.1", 0), _Database) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def audit(tmp_path, pins, database):
    """Exit status and output; no other database can be reached."""
    (tmp_path / "lock.txt").write_text(pins)
    proxies = {"HTTPS_PROXY": NOWHERE, "https_proxy": NOWHERE, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    done = subprocess.run(
        [sys.executable, AUDIT, "--requirement", tmp_path / "lock.txt"],
        env={**os.environ, **proxies, "PIP_AUDIT_OSV_URL": database},
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("pins", "status", "message"),
    [
        ("shirt==1.0\nshoe==1.0\n", 1, "shirt 1.0: CVE-1, GHSA-1 (fixed in: 2.0)\n"),
        ("shirt==2.0\nshoe==1.0\n", 0, "2 packages audited by osv: no known vulnerability\n"),
        ("shirt>=1.0\n", 1, "not pinned"),
    ],
)
def test_a_known_vulnerability_fails(tmp_path, database, pins, status, message):
    found, output = audit(tmp_path, pins, database)
    assert found == status and message in output


def test_without_a_database_one_line_says_that_nothing_was_audited(tmp_path):
    status, output = audit(tmp_path, "shirt==1.0\n", NOWHERE)
    assert status == 0 and output.count("\n") == 1
    assert output.startswith("not audited: no database of vulnerabilities can be reached (osv: requests.")
