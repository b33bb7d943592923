# SPDX-License-Identifier: GPL-3.0-or-later
"""The examples of client/README.md run as they stand, and print what it shows."""

import re
import subprocess
import sys

import pytest

from tests.pods import PROJECT_ROOT

# test_client_security.py has the example of TLS.
README = (PROJECT_ROOT / "client" / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```\s+```text\n(.*?)```", README[: README.index("## TLS")], re.DOTALL)
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
