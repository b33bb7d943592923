# SPDX-License-Identifier: GPL-3.0-or-later
"""A PostgreSQL of the tests' own: Debian's binaries, a cluster in a temporary folder, reached through a Unix socket."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from pathlib import Path

import pytest

NEEDED = pytest.mark.long("PostgreSQL: apt-get install postgresql")
# What a feedback store may be in.
STORES = ("sqlite", pytest.param("postgresql", marks=NEEDED))

_BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[4]))


def binary(name):
    """The newest one that is installed, None if none is."""
    return str(_BINARIES[-1].with_name(name)) if _BINARIES else shutil.which(name)


class Cluster:
    """A server that can be stopped, killed and started again."""

    def __init__(self, folder):
        self.folder = folder
        self.data = folder / "data"
        self._process = None
        folder.chmod(0o755)
        # PostgreSQL will not run as root.
        self._as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        if self._as_user:
            shutil.chown(folder, "postgres")
        self._run(
            "initdb", "--pgdata", self.data, "--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-sync"
        )

    def start(self):
        settings = {"listen_addresses": "", "unix_socket_directories": self.folder, "max_connections": 100}
        command = [*self._as_user, binary("postgres"), "-D", self.data]
        command += [f"-c{name}={value}" for name, value in settings.items()]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder)
        deadline = time.monotonic() + 60
        while subprocess.run([binary("pg_isready"), "-q", "-h", self.folder], check=False).returncode:
            assert self._process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def kill(self):
        """As a machine that loses its power, but for the caches of its disks."""
        leader = int((self.data / "postmaster.pid").read_text().split()[0])
        family = [leader, *_children(leader)]
        for pid in family:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()
        deadline = time.monotonic() + 60
        while any(_lives(pid) for pid in family):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    def stop(self):
        """At once: nobody will start it again."""
        if self._process is not None and self._process.poll() is None:
            self._run("pg_ctl", "stop", "--pgdata", self.data, "--mode=immediate", "--silent")
            self._process.wait()

    def fresh_url(self):
        """The address of a new, empty database."""
        name = f"feedback_{uuid.uuid4().hex[:12]}"
        self.sql(f"CREATE DATABASE {name}")
        return f"postgresql://postgres@/{name}?host={self.folder}"

    def sql(self, statement, database="postgres"):
        command = [binary("psql"), "-qAt", "-v", "ON_ERROR_STOP=1", "-h", self.folder, "-U", "postgres", "-d", database]
        return subprocess.run([*command, "-c", statement], check=True, capture_output=True, text=True).stdout

    def _run(self, name, *arguments):
        subprocess.run([*self._as_user, binary(name), *arguments], check=True, capture_output=True, cwd=self.folder)


def _children(parent):
    """Their process ids."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(stat.read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(stat.parent.name))
    return found


def _lives(pid):
    """Whether it is there, and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@contextlib.contextmanager
def running_cluster():
    """A started cluster, gone afterwards; its folder has a short name, for sockets' sake."""
    folder = Path(tempfile.mkdtemp(prefix="orrery-pg-"))
    try:
        cluster = Cluster(folder)
        cluster.start()
        try:
            yield cluster
        finally:
            cluster.stop()
    finally:
        shutil.rmtree(folder)
