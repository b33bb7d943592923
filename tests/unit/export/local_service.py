# SPDX-License-Identifier: GPL-3.0-or-later
"""A real HTTP server on loopback that gives recorded answers, and breaks off or dawdles where a test wants it to."""

import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import parse_qsl, urlsplit

import httpx

from export.data.fetch import Backoff, Fetcher


@dataclass(frozen=True)
class Answer:
    """One answer; `missing` bytes of it are promised but never sent, `dawdles` means it comes only at the end."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    missing: int = 0
    dawdles: bool = False


@dataclass(frozen=True)
class Asked:
    """One request as it came."""

    path: str
    parameters: dict[str, str]
    headers: Mapping[str, str]


class LocalService:
    """Gives its answers in turn, the last one for ever; an answer may be a function of the request."""

    def __init__(self, answers: Sequence[Answer | Callable[[Asked], Answer]]) -> None:
        self.asked: list[Asked] = []
        self.most_at_once = 0
        self._now = 0
        self._lock = threading.Lock()
        self._closing = threading.Event()
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                service._answer(self, answers)

            def log_message(self, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/list"

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _answer(self, handler: BaseHTTPRequestHandler, answers: Sequence[Answer | Callable[[Asked], Answer]]) -> None:
        parts = urlsplit(handler.path)
        asked = Asked(parts.path, dict(parse_qsl(parts.query)), dict(handler.headers))
        with self._lock:
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
            answer = answers[min(len(self.asked), len(answers) - 1)]
            self.asked.append(asked)
        try:
            self._send(handler, answer if isinstance(answer, Answer) else answer(asked))
        finally:
            with self._lock:
                self._now -= 1

    def _send(self, handler: BaseHTTPRequestHandler, answer: Answer) -> None:
        if answer.dawdles:
            self._closing.wait()
            return
        handler.send_response(answer.status)
        for name, value in answer.headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(answer.body)))
        handler.end_headers()
        handler.wfile.write(answer.body[: len(answer.body) - answer.missing])


def unused_address() -> str:
    """An address where nothing listens."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{holder.getsockname()[1]}/"


def fetcher(waits: list[float] | None = None, attempts: int = 3, read_s: float = 10.0) -> Fetcher:
    """One that notes how long it would have waited instead of waiting."""
    noted = [] if waits is None else waits
    return Fetcher(Backoff(attempts, first_s=2.0, cap_s=60.0), httpx.Timeout(read_s), noted.append)
