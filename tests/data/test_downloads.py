"""Photos that a catalogue names by their address on the web."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from kaleidobert.data import downloads
from kaleidobert.data.addresses import read_address
from kaleidobert.data.downloads import VARIABLE, download
from kaleidobert.data.problems import BadRow
from kaleidobert.data.public_hosts import is_public


class Shop(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path.startswith("/moved"):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/moved") or "/moved")
            self.end_headers()
            return
        self.send_response(200 if self.path == "/photo.jpg?size=2" else 404)
        self.end_headers()
        self.wfile.write(b"a photo")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def shop() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Shop) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def local_is_public(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "is_public", lambda _: True)


@pytest.mark.usefixtures("local_is_public")
def test_downloads_need_to_be_allowed(shop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadRow, match="images are not downloaded unless KALEIDOBERT_DOWNLOAD=1"):
        read_address(f"{shop}/photo.jpg?size=2", Path())
    monkeypatch.setenv(VARIABLE, "1")
    assert read_address(f"{shop}/photo.jpg?size=2", Path()) == b"a photo"


@pytest.mark.usefixtures("local_is_public")
def test_redirects_are_followed_a_few_times(shop: str) -> None:
    assert download(f"{shop}/moved/photo.jpg?size=2") == b"a photo"
    with pytest.raises(BadRow, match="more than 3 redirects"):
        download(f"{shop}/moved")


def test_private_addresses_are_refused(shop: str) -> None:
    for address in (shop, shop.replace("127.0.0.1", "localhost")):
        with pytest.raises(BadRow, match="is a private address"):
            download(address)
    hosts = ("127.0.0.1", "10.0.0.1", "192.168.1.1", "169.254.169.254", "::1", "fe80::1%eth0", "::ffff:127.0.0.1")
    assert not any(map(is_public, (*hosts, "0.0.0.0", "fd00::1", "100.64.0.1")))
    assert is_public("93.184.216.34") and is_public("2606:2800:220:1::1")


@pytest.mark.usefixtures("local_is_public")
def test_what_is_missing_large_or_slow_is_refused_in_one_line(shop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadRow, match="the server answered 404"):
        download(f"{shop}/gone.jpg")
    with pytest.raises(BadRow, match="is no http or https address"):
        download(f"{shop}/movedfile:///etc/passwd")
    monkeypatch.setattr(downloads, "MAX_BYTES", 3)
    with pytest.raises(BadRow, match="larger than"):
        download(f"{shop}/photo.jpg?size=2")
    monkeypatch.setattr(downloads, "SECONDS", 0.0)
    with pytest.raises(BadRow, match="took longer than"):
        download(f"{shop}/photo.jpg?size=2")
