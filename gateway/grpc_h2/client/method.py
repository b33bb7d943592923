# SPDX-License-Identifier: GPL-3.0-or-later
"""What is called, and how."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc

from gateway.grpc_h2.metadata import MetadataLike
from gateway.grpc_h2.session_events import Headers


@dataclass(frozen=True, slots=True)
class Method:
    """A method of a server, and how its messages are written and read.

    Attributes:
        headers: of every call.
        serialise: makes bytes of a request; None where they are.
        parse: makes a reply of bytes; None where they are to stay.
        idempotent: whether the server may do twice what it was asked once.
        one_reply: whether it answers with one message.
    """

    headers: Headers
    serialise: Callable[[Any], bytes] | None
    parse: Callable[[bytes], Any] | None
    idempotent: bool
    one_reply: bool


@dataclass(frozen=True, slots=True)
class Options:
    """What a caller may say of one call, as for grpc.aio's multi-callables."""

    timeout_s: float | None = None
    metadata: MetadataLike | None = None
    wait_for_ready: bool | None = None
    compression: grpc.Compression | None = None
