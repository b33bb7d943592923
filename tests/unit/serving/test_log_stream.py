# SPDX-License-Identifier: GPL-3.0-or-later
"""Log lines reach their file whole, and never stop or fail whoever writes them."""

import fcntl
import io
import os
import threading

import pytest
from prometheus_client import REGISTRY

from gateway.serving.log_stream import LogStream


def lost():
    return REGISTRY.get_sample_value("orrery_log_lines_lost_total")


@pytest.fixture
def pipe():
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 65536)
    with os.fdopen(reading, "rb") as reader, os.fdopen(writing, "w") as writer:
        yield reader, writer


def test_lines_longer_than_a_pipe_takes_at_once_arrive_whole(pipe):
    reader, writer = pipe
    before = lost()
    line = "é" * 20_000 + "\n"
    assert LogStream(writer).write(line) == len(line)
    assert os.read(reader.fileno(), 100_000).decode() == line
    assert lost() == before


def test_a_pipe_that_nobody_reads_loses_lines_and_takes_new_ones_once_it_is_read(pipe):
    reader, writer = pipe
    stream, before = LogStream(writer), lost()
    for _ in range(100):
        stream.write("x" * 2000 + "\n")
    assert lost() > before
    while len(os.read(reader.fileno(), 65536)) == 65536:
        pass
    counted = lost()
    stream.write("after\n")
    assert os.read(reader.fileno(), 65536).endswith(b"after\n")
    assert lost() == counted


def test_a_closed_pipe_loses_lines(pipe):
    reader, writer = pipe
    stream, before = LogStream(writer), lost()
    reader.close()
    stream.write("nobody\n")
    assert lost() == before + 1


def test_a_full_disk_loses_lines():
    with open("/dev/full", "w") as full:  # noqa: PTH123  # no path of ours
        stream, before = LogStream(full), lost()
        stream.write("no room\n")
    assert lost() == before + 1


def test_a_closed_file_loses_lines(tmp_path):
    file = (tmp_path / "log").open("w")
    stream, before = LogStream(file), lost()
    file.close()
    stream.write("gone\n")
    assert lost() == before + 1


def test_a_stream_without_a_file_is_written_to():
    text = io.StringIO()
    LogStream(text).write("a line\n")
    assert text.getvalue() == "a line\n"


def test_lines_of_several_threads_do_not_mix(tmp_path):
    with (tmp_path / "log").open("w") as file:
        stream = LogStream(file)
        lines = [letter * 9000 + "\n" for letter in "abcd"]
        threads = [threading.Thread(target=lambda line=line: [stream.write(line) for _ in range(20)]) for line in lines]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    written = (tmp_path / "log").read_text().splitlines(keepends=True)
    assert sorted(written) == sorted(lines * 20)
