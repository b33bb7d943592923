# SPDX-License-Identifier: GPL-3.0-or-later
"""Pods as processes of their own, for tests that kill, stop or drain them."""

import contextlib
import os
import subprocess
import sys

from tests.pods import PROJECT_ROOT, free_address


class PodProcess:
    """`python -m gateway POD` on a free address; settings by their names without the prefix, or in the environment."""

    def __init__(self, pod, *, environment=None, stderr=subprocess.DEVNULL, **settings):
        self.address = free_address()
        chosen = {"ADDRESS": self.address, "METRICS_ADDRESS": free_address(), **settings}
        self._command = [sys.executable, "-m", "gateway", pod]
        self._stderr = stderr
        self._settings = (
            os.environ
            | (environment or {})
            | {f"ORRERY_{pod.upper()}_{name}": str(value) for name, value in chosen.items()}
        )
        self.start()

    def start(self):
        self.process = subprocess.Popen(self._command, cwd=PROJECT_ROOT, env=self._settings, stderr=self._stderr)

    def signal(self, signum):
        self.process.send_signal(signum)

    def gone(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


@contextlib.contextmanager
def pod_process(pod, **settings):
    """A pod that is gone when this is left."""
    running = PodProcess(pod, **settings)
    try:
        yield running
    finally:
        running.gone()
