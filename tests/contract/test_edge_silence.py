# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections that say nothing, or not enough, do not stay at the edge."""

import asyncio
import ssl

import pytest

from tests.certificates import Authority
from tests.edges import ask, running_edge

MANY = 500


@pytest.fixture(scope="module")
def plain(stack, tmp_path_factory):
    with running_edge(tmp_path_factory.mktemp("plain"), [stack["front"]], max_connections=MANY + 50) as edge:
        yield edge


@pytest.fixture(scope="module")
def with_tls(stack, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    certificate, private, _ = Authority().write(folder, "edge")
    files = {"tls_certificate_file": certificate, "tls_key_file": private}
    with running_edge(folder, [stack["front"]], **files) as edge:
        yield edge


def client_hello():
    context = ssl.create_default_context()
    outgoing = ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost").do_handshake()
    return outgoing.read()


async def closed_after(address, said):
    """Say this, read to the end."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(said)
        async with asyncio.timeout(60):
            await reader.read()
    except ConnectionResetError:
        pass
    finally:
        writer.close()


@pytest.mark.parametrize("said", [b"", b"G", b"PRI * HTTP/2.0\r\n"], ids=["nothing", "a letter", "half a greeting"])
async def test_silent_connections_are_closed_and_others_answered_meanwhile(plain, said):
    silent = asyncio.gather(*(closed_after(plain.address, said) for _ in range(MANY)))
    while not silent.done():
        reply = await asyncio.to_thread(ask, plain.address, "/health")
        assert reply.status == 200
        await asyncio.sleep(0.1)
    await silent


@pytest.mark.parametrize("hello", [False, True])
async def test_a_handshake_of_tls_does_not_wait_for_ever(with_tls, hello):
    said = client_hello() if hello else b""
    await asyncio.gather(*(closed_after(with_tls.address, said) for _ in range(20)))
