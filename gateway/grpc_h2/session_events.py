# SPDX-License-Identifier: GPL-3.0-or-later
"""What a session reports. Each method does nothing until a subclass overrides it."""

Headers = list[tuple[bytes, bytes]]


class SessionEvents:
    """Events of one HTTP/2 connection."""

    def headers_received(self, stream_id: int, headers: Headers) -> None:
        """Headers of a request; headers of a response, and its trailers."""

    def body_received(self, stream_id: int, data: bytes) -> None:
        """Part of a body. Call `release_credit` once it is consumed."""

    def peer_ended(self, stream_id: int) -> None:
        """The peer has ended its side of a stream."""

    def body_sent(self, stream_id: int, queued: int) -> None:
        """Part of a body was sent; `queued` bytes of it still wait."""

    def stream_closed(self, stream_id: int, code: int) -> None:
        """A stream has ended on both sides, or was reset with an error code of RFC 9113, section 7."""

    def ping_received(self) -> None:
        """The peer has sent a PING; its acknowledgement is queued already."""

    def ping_acknowledged(self) -> None:
        """The peer has acknowledged our PING."""

    def settings_received(self) -> None:
        """The peer has sent its SETTINGS: it speaks HTTP/2."""

    def goaway_received(self) -> None:
        """The peer accepts no new streams."""
