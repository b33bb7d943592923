# SPDX-License-Identifier: GPL-3.0-or-later
"""Asking public services politely: one request at a time, backing off when told to, copies kept on disk.

Sources: RFC 9110 section 10.2.3 (Retry-After) and sections 8.8, 13.1 (ETag, Last-Modified, conditional requests);
JPL asks for one request at a time (https://ssd-api.jpl.nasa.gov, "fair use").
"""

import fcntl
import hashlib
import json
import logging
import os
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import httpx

from export.errors import ExportError

LOGGER: Final = logging.getLogger(__name__)

TIMEOUT: Final = httpx.Timeout(120.0, connect=5.0)
# "Come back later", and what a gateway in front of a restarting service says.
_TRANSIENT_STATUS: Final = frozenset({429, 502, 503, 504})
_NOT_MODIFIED: Final = 304
_HEADERS: Final = {"User-Agent": "orrery-inference-export/0.1"}


class FetchError(ExportError):
    """A service gave no usable answer, however often it was asked."""


class UnreachableError(FetchError):
    """No connection to a service could be made.

    Attributes:
        host: that was to be reached, with its port where the address has one.
        reason: why not, as the system puts it.
    """

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"no answer from {url}: {reason}")
        self.host = urlsplit(url).netloc
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Backoff:
    """How to ask again: `attempts` in all, waiting `first_s`, twice that, … up to `cap_s`, each with jitter.

    A service that asks (Retry-After) for more than `cap_s` is left alone at once.
    """

    attempts: int = 5
    first_s: float = 2.0
    cap_s: float = 60.0

    def wait_s(self, failures: int, jitter: float) -> float:
        """The wait after so many failures (from 1); `jitter` in [0, 1) shortens it by up to a half."""
        return min(self.cap_s, self.first_s * 2.0 ** (failures - 1)) * (1.0 - 0.5 * jitter)


@dataclass(frozen=True, slots=True)
class Download:
    """Content as it arrived: its bytes, where from, and the day (UTC, ISO) it was had."""

    content: bytes
    source: str
    date: str


def today() -> str:
    """The day it is now (UTC, ISO 8601)."""
    return datetime.now(UTC).date().isoformat()


@dataclass(slots=True)
class Fetcher:
    """Gives the answers of services, or a `FetchError` that says why not.

    Attributes:
        backoff: how often and how patiently.
        timeout: of connecting and of each read.
        sleep: how to wait, in seconds.
    """

    backoff: Backoff = field(default_factory=Backoff)
    timeout: httpx.Timeout = field(default_factory=lambda: TIMEOUT)
    sleep: Callable[[float], None] = time.sleep

    def get(
        self, url: str, parameters: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """A whole answer of status 200, or 304 where `headers` made the request conditional.

        Asked again after 429, 502, 503 and 504, a body cut short, and a read that timed out; never after a refused
        connection or any other status.

        Raises:
            FetchError: names the address and the last reason.
        """
        with httpx.Client(timeout=self.timeout, follow_redirects=True, headers=_HEADERS) as client:
            for failures in range(1, self.backoff.attempts + 1):
                wait_s = self.backoff.wait_s(failures, random.random())  # noqa: S311 - spreads load, guards nothing
                try:
                    reply = client.get(url, params=parameters, headers=headers)
                except (httpx.RemoteProtocolError, httpx.ReadError, httpx.ReadTimeout) as error:
                    reason = _one_line(error)
                except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                    raise UnreachableError(url, _one_line(error)) from error
                except (httpx.HTTPError, httpx.InvalidURL) as error:
                    raise FetchError(f"no answer from {url}: {_one_line(error)}") from error
                else:
                    if reply.status_code in (httpx.codes.OK, _NOT_MODIFIED):
                        return reply
                    reason = f"HTTP {reply.status_code} {reply.reason_phrase}"
                    if reply.status_code not in _TRANSIENT_STATUS:
                        raise FetchError(f"no answer from {url}: {reason}")
                    asked_s = retry_after_s(reply.headers.get("Retry-After", ""), datetime.now(UTC))
                    if asked_s > self.backoff.cap_s:
                        raise FetchError(f"no answer from {url}: {reason}, and it asks to wait {asked_s:.0f} s")
                    wait_s = max(wait_s, asked_s)
                if failures < self.backoff.attempts:
                    LOGGER.info("%s: %s; asking again in %.1f s", url, reason, wait_s)
                    self.sleep(wait_s)
        raise FetchError(f"no answer from {url} in {self.backoff.attempts} attempts: {reason}")

    def get_if_changed(self, url: str, folder: Path, parameters: Mapping[str, str] | None = None) -> Download:
        """The content behind an address: sent anew only if it differs from the copy kept in `folder`.

        Raises:
            FetchError: as `get`.
            OSError: the copy cannot be written.
        """
        source = str(httpx.URL(url, params=parameters) if parameters else httpx.URL(url))
        stem = hashlib.sha256(source.encode()).hexdigest()[:16]
        copy, about = folder / f"{stem}.content", folder / f"{stem}.json"
        kept = _kept(copy, about)
        with alone(folder):
            reply = self.get(url, parameters, kept[1] if kept else None)
        if reply.status_code == _NOT_MODIFIED:
            if kept is None:
                raise FetchError(f"no answer from {url}: HTTP 304 to a request without conditions")
            return Download(kept[0], source, kept[2])
        validators = {
            condition: reply.headers[header]
            for condition, header in (("If-None-Match", "ETag"), ("If-Modified-Since", "Last-Modified"))
            if header in reply.headers
        }
        date = today()
        sha256 = hashlib.sha256(reply.content).hexdigest()
        write_whole(copy, reply.content)
        about_it = {"source": source, "date": date, "sha256": sha256, "validators": validators}
        write_whole(about, json.dumps(about_it, indent=1).encode())
        return Download(reply.content, source, date)


def retry_after_s(value: str, now: datetime) -> float:
    """Seconds a Retry-After header asks for, as seconds or as a date; 0 where it is absent or unreadable."""
    if value.strip().isdecimal():
        return float(value)
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return 0.0
    return max(0.0, (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() - now.timestamp())


def _one_line(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__


def _kept(copy: Path, about: Path) -> tuple[bytes, dict[str, str], str] | None:
    """The kept content, the conditions to ask with and its date; None where it is absent, damaged or unconditional."""
    if not (copy.is_file() and about.is_file()):
        return None
    content = copy.read_bytes()
    try:
        known = json.loads(about.read_bytes())
        validators: dict[str, str] = known["validators"]
        intact = hashlib.sha256(content).hexdigest() == known["sha256"]
        date = str(known["date"])
    except (ValueError, KeyError, TypeError):
        return None
    return (content, validators, date) if intact and validators else None


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that a reader finds all of it or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_bytes(content)
    partial.replace(path)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the right to ask, which one process at a time has for each cache folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".asking").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
