# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls of the load generator over HTTP/1.1: the only module that needs aiohttp, of the group `bench`."""

from http import HTTPStatus

import aiohttp

from bench.peers.load import Call, Refused


def http_call(session: aiohttp.ClientSession, url: str, content_type: str) -> Call:
    """Bytes to bytes by POST on connections that stay open.

    The call raises `Refused` for a status other than 200 and where there is no connection.
    """
    headers = {"Content-Type": content_type}

    async def call(request: bytes) -> bytes:
        try:
            async with session.post(url, data=request, headers=headers) as response:
                content = await response.read()
        except aiohttp.ClientError as error:
            raise Refused(f"{url}: {error!r}") from error
        if response.status != HTTPStatus.OK:
            raise Refused(f"{url}: {response.status} {content[:200]!r}")
        return bytes(content)

    return call
