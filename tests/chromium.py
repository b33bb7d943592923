# SPDX-License-Identifier: GPL-3.0-or-later
"""A real Chromium without a window, driven through a pipe by the DevTools protocol."""

import contextlib
import fcntl
import json
import os
import select
import signal
import time

FLAGS = (
    "--headless", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--remote-debugging-pipe",
)  # fmt: skip
# Chromium reads commands from the first and writes replies and events to the second.
COMMANDS_FD, REPLIES_FD = 3, 4
PATIENCE_S = 60


class Page:
    """A tab."""

    def __init__(self, commands, replies):
        self._commands, self._replies = commands, replies
        self._unread, self._last_id, self._session = b"", 0, {}
        # Uncaught exceptions of the page's scripts.
        self.exceptions = []
        target = self.command("Target.createTarget", url="about:blank")["targetId"]
        attached = self.command("Target.attachToTarget", targetId=target, flatten=True)
        self._session = {"sessionId": attached["sessionId"]}
        self.command("Runtime.enable")

    def command(self, method, **params):
        """The result of a command of the protocol."""
        self._last_id += 1
        message = {"id": self._last_id, "method": method, "params": params, **self._session}
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            reply = self._read()
            if reply.get("method") == "Runtime.exceptionThrown":
                self.exceptions.append(reply["params"]["exceptionDetails"])
            if reply.get("id") == self._last_id:
                assert "error" not in reply, reply
                return reply["result"]

    def open(self, url):
        """Load a page, and wait until its scripts have run."""
        self.command("Page.navigate", url=url)
        self.until(f"location.href === {json.dumps(url)} && document.readyState === 'complete'")

    def evaluate(self, expression):
        """The value of a JavaScript expression."""
        result = self.command("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, (expression, result)
        return result["result"].get("value")

    def until(self, expression):
        """Wait for an expression to be true."""
        deadline = time.monotonic() + PATIENCE_S
        while not self.evaluate(expression):
            assert time.monotonic() < deadline, (expression, self.evaluate("document.body.innerText"))
            time.sleep(0.02)

    def _read(self):
        while b"\0" not in self._unread:
            readable, _, _ = select.select([self._replies], [], [], PATIENCE_S)
            part = os.read(self._replies, 1 << 16) if readable else b""
            assert part, "Chromium has ended, or does not answer"
            self._unread += part
        message, _, self._unread = self._unread.partition(b"\0")
        return json.loads(message)


@contextlib.contextmanager
def open_page(program, profile, *flags):
    """A page of a fresh Chromium, whose profile is written to a folder."""
    if os.geteuid() == 0:
        flags = ("--no-sandbox", *flags)
    command = [program, *FLAGS, f"--user-data-dir={profile}", *flags, "about:blank"]
    commands_out, commands = os.pipe()
    replies, replies_in = os.pipe()
    # The pipes' ends may be descriptors 3 and 4 themselves, so both are moved out of the way first.
    spare = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in (commands_out, replies_in)]
    moves = [(os.POSIX_SPAWN_DUP2, spare[0], COMMANDS_FD), (os.POSIX_SPAWN_DUP2, spare[1], REPLIES_FD)]
    quiet = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_WRONLY, 0) for number in (1, 2)]
    process = os.posix_spawn(program, command, os.environ, file_actions=[*moves, *quiet])
    for end in (commands_out, replies_in, *spare):
        os.close(end)
    try:
        yield Page(commands, replies)
    finally:
        os.close(commands)
        os.kill(process, signal.SIGTERM)
        os.waitpid(process, 0)
        os.close(replies)
