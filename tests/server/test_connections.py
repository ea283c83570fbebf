"""Connections of slow and of many clients, over real sockets."""

import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest
import uvicorn
from fastapi import FastAPI

from kaleidobert.server.connections import LimitedProtocol

REQUEST = b"GET /hello HTTP/1.1\r\nhost: shop\r\n\r\n"
Connect = Callable[[], socket.socket]


class Hurried(LimitedProtocol):
    max_connections = 2
    header_seconds = 0.5
    write_seconds = 0.5


@pytest.fixture
def connect() -> Iterator[Connect]:
    app = FastAPI()
    app.get("/hello")(lambda: "hello")
    app.get("/much")(lambda: "x" * 50_000_000)
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", http=Hurried, ws="none"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    opened: list[socket.socket] = []

    def connect() -> socket.socket:
        opened.append(socket.create_connection(listener.getsockname(), timeout=30))
        return opened[-1]

    yield connect
    for each in opened:
        each.close()
    server.should_exit = True
    thread.join(30)


def answer(client: socket.socket) -> str:
    """All that arrives until the server closes the connection."""
    received = b""
    while more := client.recv(65536):
        received += more
    return received.decode()


def test_slow_headers_are_refused_on_new_and_on_kept_connections(connect: Connect) -> None:
    for before in (b"", REQUEST):
        client = connect()
        client.sendall(before)
        if before:
            assert client.recv(65536).startswith(b"HTTP/1.1 200")
        client.sendall(b"GET / HTTP/1.1\r\n")
        received = answer(client)
        assert "HTTP/1.1 408" in received and "application/problem+json" in received


def test_what_is_no_request_gets_a_problem_document(connect: Connect) -> None:
    client = connect()
    client.sendall(b"\0\r\n\r\n")
    assert "HTTP/1.1 400" in (received := answer(client)) and '"status":400' in received


def test_more_connections_than_allowed_get_503(connect: Connect) -> None:
    clients = [connect() for _ in range(3)]
    time.sleep(0.2)
    clients[2].sendall(REQUEST)
    received = answer(clients[2]).lower()
    assert "http/1.1 503" in received and "retry-after: 1" in received and "application/problem+json" in received


def test_who_does_not_read_the_answer_is_disconnected(connect: Connect) -> None:
    client = connect()
    client.sendall(REQUEST.replace(b"hello", b"much"))
    time.sleep(2)
    with pytest.raises(OSError):
        while True:
            if not client.recv(1 << 20):
                raise ConnectionError
