# SPDX-License-Identifier: GPL-3.0-or-later
"""The examples of client/README.md run as they stand, and print what it shows."""

import hashlib
import re
import subprocess
import sys

import pytest

from gateway import up
from tests.certificates import Authority
from tests.pods import PROJECT_ROOT, free_settings

README = (PROJECT_ROOT / "client" / "README.md").read_text(encoding="utf-8")
SECURE = "## TLS"
EXAMPLES = re.findall(r"```python\n(.*?)```\s+```text\n(.*?)```", README[: README.index(SECURE)], re.DOTALL)
FRONT = "127.0.0.1:50051"


def run(code, address, folder):
    assert FRONT in code
    command = [sys.executable, "-c", code.replace(FRONT, address)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("code", "output"), EXAMPLES, ids=["refusal", "numpy", "pandas", "stream", "asyncio", "impact", "rest"]
)
def test_an_example_prints_what_the_readme_shows(stack, code, output):
    said = run(code, stack["front"], PROJECT_ROOT)
    assert (said.stdout, said.stderr, said.returncode) == (output, "", 0)


def test_the_example_of_tls_and_tokens_works(tmp_path):
    authority = Authority()
    certificate, key, ca = authority.write(tmp_path, "front")
    authority.write(tmp_path, "me")
    (tmp_path / "token").write_text("a-secret\n")
    addresses, environment = free_settings(tmp_path / "feedback")
    environment |= {
        "ORRERY_FRONT_TLS_CERTIFICATE_FILE": str(certificate),
        "ORRERY_FRONT_TLS_KEY_FILE": str(key),
        "ORRERY_FRONT_CLIENT_CA_FILE": str(ca),
        "ORRERY_FRONT_CALLERS": f"me reader sha256:{hashlib.sha256(b'a-secret').hexdigest()}",
    }
    code, output = re.findall(r"```python\n(.*?)```\s+```text\n(.*?)```", README[README.index(SECURE) :], re.DOTALL)[0]
    with up.running_pods(tmp_path / "log", environment):
        said = run(code, addresses["front"], tmp_path)
    assert (said.stdout, said.stderr, said.returncode) == (output, "", 0)
