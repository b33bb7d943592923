# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors with names, where grpc.aio raises a bare one. Each is also what code written for grpc.aio catches."""

from __future__ import annotations

import grpc


class Malformed(Exception):
    """The peer sent what is no call or no message of gRPC.

    Attributes:
        code: of the status that ends the call.
        details: a sentence for whoever sent it.
    """

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        super().__init__(details)
        self.code = code
        self.details = details


class TooLarge(Malformed):
    """A message is larger than the limit."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(grpc.StatusCode.RESOURCE_EXHAUSTED, f"a message of {size} bytes: at most {limit} are taken")


class InvalidMetadata(grpc.aio.InternalError, ValueError):
    """Metadata that cannot be sent; the sentence names the key. Nothing was sent."""


class TooMuchMetadata(InvalidMetadata):
    """More metadata than one call may send: more than 100 fields, or more than 12 KiB."""


class MessageTooLarge(grpc.aio.AioRpcError):
    """A message is larger than the channel's limit. Its code is RESOURCE_EXHAUSTED; the details give both sizes."""


class ReplyTooLarge(grpc.aio.InternalError, ValueError):
    """A handler's reply is larger than the server's limit; its caller gets RESOURCE_EXHAUSTED."""
