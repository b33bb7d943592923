# SPDX-License-Identifier: GPL-3.0-or-later
"""How the client of ours finds its servers, and finds them again."""

import asyncio
import contextlib
import socket
import threading

import grpc
import pytest

from gateway.grpc_h2 import Channel
from gateway.grpc_h2.client.target import Address, Target
from gateway.serving import reloading
from gateway.serving.settings import BackendSettings, ServingSettings
from gateway.serving.tls import client_tls, server_tls
from tests import raw_http2 as wire
from tests.certificates import Authority
from tests.echo_server import ECHO, WAIT, serving, serving_by_grpc, status_of, until

MOST = 16 * 1024 * 1024
Code = grpc.StatusCode


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


@contextlib.asynccontextmanager
async def asking(channel, *, at_once=8):
    """Asks without a pause until the end of the block, and then says how often: each is answered."""
    stopping, count = False, 0

    async def ask():
        nonlocal count
        while not stopping:
            assert await channel.unary_unary(ECHO)(b"x", timeout=10) == b"x"
            count += 1

    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(ask())
        yield lambda: count
        stopping = True


async def test_a_server_that_is_not_there_yet():
    port = free_port()
    async with Channel(f"127.0.0.1:{port}", max_message_bytes=MOST) as channel:
        async with asyncio.timeout(5):
            error = await status_of(channel.unary_unary(ECHO)(b""))
        assert error.code() is Code.UNAVAILABLE
        assert f"127.0.0.1:{port}" in error.details()
        async with serving(port=port):
            await asyncio.wait_for(_comes_up(channel), 10)
        error = await status_of(channel.unary_unary(ECHO)(b"", timeout=10))
        assert error.code() is Code.UNAVAILABLE
        async with serving(port=port):
            await asyncio.wait_for(_comes_up(channel), 10)


async def _comes_up(channel):
    while True:
        with contextlib.suppress(grpc.aio.AioRpcError):
            return await channel.unary_unary(ECHO)(b"")


async def test_a_name_that_nobody_knows():
    async with Channel("nowhere.invalid:1", max_message_bytes=MOST) as channel:
        assert (await status_of(channel.unary_unary(ECHO)(b"", timeout=10))).code() is Code.UNAVAILABLE
        assert (await status_of(channel.unary_unary(ECHO)(b"", timeout=0.05))).code() in {
            Code.UNAVAILABLE,
            Code.DEADLINE_EXCEEDED,
        }


async def test_servers_take_turns():
    async with serving() as (one, _, first), serving() as (two, _, second):
        target = f"ipv4:127.0.0.1:{one},127.0.0.1:{two}"
        async with Channel(target, max_message_bytes=MOST) as channel:
            await channel.connected()
            await until(lambda: len(channel._pool._ready) == 2)
            for _ in range(100):
                await channel.unary_unary(ECHO)(b"", timeout=10)
            assert abs(first.tally.started - second.tally.started) <= 1


async def test_a_server_that_is_not_there_costs_the_others_nothing():
    async with serving() as (one, _, _server):
        target = f"ipv4:127.0.0.1:{free_port()},127.0.0.1:{one}"
        async with Channel(target, max_message_bytes=MOST) as channel:
            for _ in range(20):
                await channel.unary_unary(ECHO)(b"", timeout=10)
            assert channel.tally.failed == 0


async def test_a_server_that_stops_loses_no_call():
    async with serving() as (one, _, first), serving() as (two, _, second):
        target = f"ipv4:127.0.0.1:{one},127.0.0.1:{two}"
        async with Channel(target, max_message_bytes=MOST) as channel, asking(channel, at_once=50) as count:
            await until(lambda: first.tally.started > 200 and second.tally.started > 200)
            await first.stop(10)
            before = count()
            await until(lambda: count() > before + 500)
        assert channel.tally.failed == 0


async def test_a_server_that_starts_again_on_its_port_loses_no_call():
    port = free_port()
    async with Channel(f"127.0.0.1:{port}", max_message_bytes=MOST) as channel:
        async with serving(port=port):
            await channel.unary_unary(ECHO)(b"", timeout=10)
            (connection,) = channel.connections
        async with serving(port=port):
            async with asking(channel) as count:
                await until(lambda: count() > 100)
            assert connection not in channel.connections


async def test_old_connections_are_left_and_no_call_is_lost():
    async with (
        serving(max_connection_age_s=0.2) as (port, _, server),
        Channel(f"127.0.0.1:{port}", max_message_bytes=MOST) as channel,
    ):
        async with asking(channel):
            await until(lambda: server.accepted > 5, within_s=30)
        assert channel.tally.failed == 0
        await until(lambda: len(channel.connections) <= 1)


async def test_a_long_call_stays_on_a_connection_that_is_left():
    async with (
        serving(max_connection_age_s=0.2) as (port, handlers, server),
        Channel(f"127.0.0.1:{port}", max_message_bytes=MOST) as channel,
    ):
        waiting = asyncio.ensure_future(channel.unary_unary(WAIT)(b"long", timeout=30))
        async with asking(channel, at_once=1):
            await until(lambda: server.accepted > 3, within_s=20)
        handlers.go.set()
        assert await waiting == b"long"
        assert handlers.happened["waiting"] == 1


async def test_a_name_that_moves(monkeypatch):
    places = []

    async def addresses(_target):
        if not places:
            raise OSError("nobody knows")
        return [Address("127.0.0.1", port) for port in places]

    monkeypatch.setattr(Target, "addresses", addresses)
    async with (
        serving() as (one, _, first),
        serving() as (two, _, second),
        Channel("pods.invalid:1", max_message_bytes=MOST) as channel,
    ):
        assert (await status_of(channel.unary_unary(ECHO)(b"", timeout=10))).code() is Code.UNAVAILABLE
        places[:] = [one]
        await asyncio.wait_for(_comes_up(channel), 10)
        places[:] = [two]
        async with asking(channel) as count:
            # One is left when it is told to go, and those that ask do not notice.
            for connection in first.connections:
                connection.leave()
            await until(lambda: second.tally.started > 100)
            assert channel._pool._subchannels.keys() == {Address("127.0.0.1", two)}
            # What was known stays where nobody can say more.
            places.clear()
            for connection in second.connections:
                connection.leave()
            before = count()
            await until(lambda: count() > before + 100)


async def test_a_socket_that_has_a_path(tmp_path):
    async with (
        serving_by_grpc(address=f"unix:{tmp_path}/pod"),
        Channel(f"unix:{tmp_path}/pod", max_message_bytes=MOST) as channel,
    ):
        assert await channel.unary_unary(ECHO)(b"x" * 1_000_000, timeout=10) == b"x" * 1_000_000
    async with Channel(f"unix:{tmp_path}/{'x' * 200}", max_message_bytes=MOST) as channel:
        assert (await status_of(channel.unary_unary(ECHO)(b"", timeout=10))).code() is Code.UNAVAILABLE


# TLS


def serves_with(folder, authority, name="pod", *, mutual=False, **options):
    """(server's TLS, the authority's certificate)."""
    certificate, key, ca = authority.write(folder, name, **options)
    settings = ServingSettings(
        address="0.0.0.0:1",
        metrics_address="127.0.0.1:2",
        tls_certificate_file=certificate,
        tls_key_file=key,
        client_ca_file=ca if mutual else None,
    )
    return server_tls(settings).contexts(), ca


def secure(port, ca, *, server_name=None, certificate=None, key=None):
    settings = BackendSettings(ca_file=ca, certificate_file=certificate, key_file=key)
    tls = client_tls(f"localhost:{port}", settings)
    return Channel(f"127.0.0.1:{port}", max_message_bytes=MOST, tls=tls, server_name=server_name)


async def test_tls(tmp_path):
    tls, ca = serves_with(tmp_path, Authority())
    async with serving(tls=tls) as (port, handlers, _), secure(port, ca) as channel:
        body = b"x" * 4_000_000
        assert await channel.unary_unary(ECHO)(body, timeout=20) == body
        assert (await status_of(channel.unary_unary(WAIT)(b"", timeout=0.2))).code() is Code.DEADLINE_EXCEEDED
        await until(lambda: handlers.happened["cancelled"])


async def test_mutual_tls(tmp_path):
    authority = Authority()
    tls, ca = serves_with(tmp_path, authority, mutual=True)
    certificate, key, _ = authority.write(tmp_path, "front")
    async with serving(tls=tls) as (port, _, _server):
        async with secure(port, ca, certificate=certificate, key=key) as channel:
            assert await channel.unary_unary(ECHO)(b"x", timeout=20) == b"x"
        async with secure(port, ca) as channel:
            assert (await status_of(channel.unary_unary(ECHO)(b"x", timeout=20))).code() is Code.UNAVAILABLE


async def test_a_certificate_of_somebody_else(tmp_path):
    tls, _ = serves_with(tmp_path, Authority())
    _, ca = serves_with(tmp_path / "other", Authority())
    async with serving(tls=tls) as (port, _, _server), secure(port, ca) as channel:
        error = await status_of(channel.unary_unary(ECHO)(b"x", timeout=20))
        assert error.code() is Code.UNAVAILABLE
        assert "certificate" in error.details().lower()


async def test_a_certificate_in_another_name(tmp_path):
    tls, ca = serves_with(tmp_path, Authority(), alternative_name="anomaly")
    async with serving(tls=tls) as (port, _, _server):
        async with secure(port, ca) as channel:
            assert (await status_of(channel.unary_unary(ECHO)(b"x", timeout=20))).code() is Code.UNAVAILABLE
        async with secure(port, ca, server_name="anomaly") as channel:
            assert await channel.unary_unary(ECHO)(b"x", timeout=20) == b"x"
        with pytest.raises(ValueError, match="label empty"):
            secure(port, ca, server_name=".no.name")


async def test_rules_broken_by_a_server_that_does_not_say_good_bye(tmp_path):
    tls, ca = serves_with(tmp_path, Authority())
    seen = threading.Event()

    def speak(listening):
        accepted, _ = listening.accept()
        with tls().wrap_socket(accepted, server_side=True) as link:
            link.sendall(wire.frame(wire.SETTINGS))
            came = b""
            while b"question" not in came:
                came += link.recv(65_536)
            link.sendall(b"\xff" * 64)
            seen.wait(20)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        speaking = asyncio.create_task(asyncio.to_thread(speak, listening))
        async with secure(listening.getsockname()[1], ca) as channel:
            await channel.connected()
            (connection,) = channel.connections
            waiting = asyncio.ensure_future(channel.unary_unary(ECHO)(b"question", timeout=60))
            try:
                await until(lambda: connection.tally.failed == 1 and connection.gone.done())
            finally:
                seen.set()
                await speaking
                waiting.cancel()
                await asyncio.gather(waiting, return_exceptions=True)


async def test_plaintext_and_tls_do_not_meet(tmp_path):
    tls, ca = serves_with(tmp_path, Authority())
    async with serving() as (port, _, _server), secure(port, ca) as channel:
        assert (await status_of(channel.unary_unary(ECHO)(b"x", timeout=20))).code() is Code.UNAVAILABLE
    async with serving(tls=tls) as (port, _, _server), Channel(f"127.0.0.1:{port}", max_message_bytes=MOST) as channel:
        assert (await status_of(channel.unary_unary(ECHO)(b"x", timeout=20))).code() is Code.UNAVAILABLE


async def test_certificates_are_renewed_under_way(tmp_path, monkeypatch):
    monkeypatch.setattr(reloading, "LOOK_PERIOD_S", 0.0)
    old, new = Authority("old"), Authority("new")
    tls, ca = serves_with(tmp_path, old, mutual=True)
    certificate, key, _ = old.write(tmp_path, "front")
    async with (
        serving(tls=tls) as (port, handlers, server),
        secure(port, ca, certificate=certificate, key=key) as channel,
    ):
        waiting = asyncio.ensure_future(channel.unary_unary(WAIT)(b"long", timeout=30))
        await handlers.began.wait()
        async with asking(channel) as count:
            await until(lambda: count() > 50)
            # First whom to trust, then whom to be.
            ca.write_bytes(old.pem + new.pem)
            before = count()
            await until(lambda: count() > before + 50)
            for name in ("pod", "front"):
                pair = new.pair(name)
                for path, content in zip((tmp_path / f"{name}.pem", tmp_path / f"{name}.key"), pair, strict=True):
                    path.write_bytes(content)
            before = count()
            await until(lambda: count() > before + 50 and len(channel.connections) == 2)
        handlers.go.set()
        assert await waiting == b"long"
        assert channel.tally.failed == 0
        assert server.accepted >= 3
        latest = max(server.connections, key=lambda connection: connection.number)
        seen = latest._transport.get_extra_info("ssl_object").getpeercert()
        assert (("commonName", "new"),) in seen["issuer"]


async def test_certificates_that_change_within_a_handshake(tmp_path):
    tls, ca = serves_with(tmp_path, Authority())
    async with serving(tls=tls) as (port, _, server):
        first, second = (client_tls("localhost:1", BackendSettings(ca_file=ca))() for _ in range(2))
        # Asked for when the channel is made, before the handshake, and after.
        given = [first, first]
        tls = lambda: given.pop() if given else second  # noqa: E731
        async with Channel(f"127.0.0.1:{port}", max_message_bytes=MOST, tls=tls) as channel:
            await channel.connected()
            await until(lambda: server.accepted == 2 and len(server.connections) == 1)


# The end


async def test_closing_ends_what_is_under_way():
    async with serving() as (port, handlers, server):
        channel = Channel(f"127.0.0.1:{port}", max_message_bytes=MOST)
        waiting = asyncio.ensure_future(channel.unary_unary(WAIT)(b""))
        await handlers.began.wait()
        await channel.close()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert not channel.connections
        await until(lambda: handlers.happened["cancelled"] and not server.connections)
        with pytest.raises(grpc.aio.UsageError, match="closed"):
            await channel.unary_unary(ECHO)(b"")
        await channel.close()
        assert channel.tally.under_way == 0


async def test_closing_may_wait_for_what_is_under_way():
    async with serving() as (port, handlers, _server):
        channel = Channel(f"127.0.0.1:{port}", max_message_bytes=MOST)
        waiting = asyncio.ensure_future(channel.unary_unary(WAIT)(b"done"))
        await handlers.began.wait()
        closing = asyncio.ensure_future(channel.close(grace=20))
        await asyncio.sleep(0)
        with pytest.raises(grpc.aio.UsageError, match="closed"):
            await channel.unary_unary(ECHO)(b"", timeout=5)
        assert not closing.done()
        handlers.go.set()
        assert await waiting == b"done"
        async with asyncio.timeout(10):
            await closing


async def test_closing_ends_the_wait_for_a_server():
    async with wire.raw_server(lambda reader, _writer: reader.read(), greet=False) as port:
        channel = Channel(f"127.0.0.1:{port}", max_message_bytes=MOST)
        waiting = asyncio.ensure_future(channel.unary_unary(ECHO)(b""))
        await until(lambda: channel.connections)
        await channel.close()
        async with asyncio.timeout(1):
            with pytest.raises(asyncio.CancelledError):
                await waiting
        assert not channel.connections


@pytest.mark.parametrize("closes", ["while it connects", "before it connects", "deaf"])
async def test_closing_leaves_nothing(closes, caplog):
    async def deaf(reader, writer):
        writer.write(wire.OPEN)
        await reader.read(100_000)
        writer.transport.pause_reading()
        await asyncio.Event().wait()

    before = asyncio.all_tasks()
    async with wire.raw_server(deaf, settings=wire.WIDE) as port:
        channel = Channel(f"127.0.0.1:{port}", max_message_bytes=100_000_000)
        waiting = asyncio.ensure_future(channel.unary_unary(ECHO)(b"x" * 50_000_000))
        if closes == "deaf":
            await until(lambda: channel.connections and next(iter(channel.connections))._paused)
        elif closes == "while it connects":
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        async with asyncio.timeout(10):
            await channel.close()
        assert not channel.connections
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await asyncio.sleep(0)
        assert not [task for task in asyncio.all_tasks() - before if "grpc_h2/client" in repr(task)]
    assert not caplog.records


async def test_thousands_of_calls_that_end_as_they_like(caplog):
    async with (
        serving(max_streams=100) as (port, _, server),
        Channel(f"127.0.0.1:{port}", max_message_bytes=MOST) as channel,
    ):
        await channel.unary_unary(ECHO)(b"", timeout=10)
        before = asyncio.all_tasks()

        async def one(number):
            await asyncio.sleep(number % 50 / 100)
            if number % 3 == 0:
                return await channel.unary_unary(WAIT)(b"", timeout=number % 7 / 50)
            if number % 3 == 1:
                return await channel.unary_unary(ECHO)(b"x" * (number * 7 % 30_000), timeout=30)
            async with asyncio.timeout(number % 11 / 50):
                return await channel.unary_unary(WAIT)(b"")

        ends = await asyncio.gather(*(one(number) for number in range(5_000)), return_exceptions=True)
        said = [end for end in ends if not isinstance(end, bytes)]
        assert all(isinstance(end, TimeoutError) or end.code() is Code.DEADLINE_EXCEEDED for end in said)
        assert sum(isinstance(end, bytes) for end in ends) == 1_667
        await until(lambda: not any(connection._attempts for connection in channel.connections))
        await until(lambda: server.tally.under_way == 0)
        assert channel.tally.under_way == 0
        assert channel.tally.started == 5_001
        await until(lambda: asyncio.all_tasks() <= before)
    assert not caplog.records


async def test_a_channel_that_is_closed_while_it_connects_leaves_no_connection():
    """Whichever turn of the loop that is: uvloop does not report the end of an attempt that is cancelled."""

    async def silent(reader, _writer):
        await reader.read()

    async with wire.raw_server(silent, greet=False) as port:
        for turns in range(40):
            channel = Channel(f"127.0.0.1:{port}", max_message_bytes=1024)
            call = asyncio.ensure_future(channel.unary_unary(ECHO)(b""))
            for _ in range(turns):
                await asyncio.sleep(0)
            await channel.close()
            with contextlib.suppress(grpc.aio.AioRpcError, asyncio.CancelledError):
                await call
            await until(lambda: not channel.connections, within_s=3)  # noqa: B023  # at once
