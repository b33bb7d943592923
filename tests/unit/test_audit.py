# SPDX-License-Identifier: GPL-3.0-or-later
"""`make audit`: what it finds, and what it says where it could not look. The database is a small one of this test."""

import http.server
import json
import re
import subprocess
import threading

import pytest

from tests.pods import PROJECT_ROOT, free_address

pytestmark = pytest.mark.long("pip-audit, which `uv tool run` takes from PyPI")


class Database(http.server.BaseHTTPRequestHandler):
    """As https://google.github.io/osv.dev/post-v1-query/ has it; one version is vulnerable."""

    def do_POST(self):  # the library's name
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.asked.add((asked["package"]["name"], asked["version"]))
        known = {"id": "PYSEC-2026-1", "summary": "It breaks.", "affected": [{"package": asked["package"]}]}
        found = {"vulns": [known]} if asked["package"]["name"] == self.server.vulnerable else {}
        reply = json.dumps(found).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, *_):
        """Keep quiet."""


def audit(address, folder):
    command = [".ci/audit", "--osv-url", f"http://{address}/v1/query", "--cache-dir", str(folder)]
    ended = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, check=False)
    return ended.returncode, ended.stdout + ended.stderr


@pytest.fixture
def database():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Database) as server:
        server.asked, server.vulnerable = set(), None
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_every_pinned_version_is_asked_for(database, tmp_path):
    code, printed = audit(f"127.0.0.1:{database.server_port}", tmp_path)
    assert (code, "No known vulnerabilities found" in printed) == (0, True), printed
    lock = (PROJECT_ROOT / "requirements.lock").read_text(encoding="utf-8")
    # A line with a marker may be for another machine than this.
    pinned = set(re.findall(r"^([\w.-]+)==(\S+) \\$", lock, re.MULTILINE))
    assert len(pinned) > 100
    assert pinned <= database.asked


def test_a_known_vulnerability_is_a_failure(database, tmp_path):
    database.vulnerable = "ngh2"
    code, printed = audit(f"127.0.0.1:{database.server_port}", tmp_path)
    assert code == 1
    assert re.search(r"ngh2 +\S+ +PYSEC-2026-1", printed)


def test_a_database_out_of_reach_is_not_a_clean_result(tmp_path):
    code, printed = audit(free_address(), tmp_path)
    assert code == 2
    assert printed.startswith("NOT CHECKED: the database osv was not reached")
    assert "No known" not in printed
