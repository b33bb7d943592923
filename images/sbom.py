# SPDX-License-Identifier: GPL-3.0-or-later
"""An image's bill of materials, CycloneDX 1.6: what Debian and Python say is installed. Run while the image is built.

usage: VERSION=… sbom.py IMAGE, writes /sbom.cdx.json
"""

import json
import os
import sys
from collections.abc import Iterator
from email.parser import Parser
from importlib.metadata import distributions
from pathlib import Path
from typing import Any
from urllib.parse import quote

_FILE = Path("/sbom.cdx.json")
_DPKG = Path("/var/lib/dpkg/status")


def python_packages() -> Iterator[dict[str, Any]]:
    """Components of the distributions on the path, each once."""
    found = {found.metadata["Name"]: found for found in distributions()}
    for name, distribution in sorted(found.items()):
        component = {"type": "library", "name": name, "version": distribution.version}
        component["purl"] = f"pkg:pypi/{quote(name.lower().replace('_', '-'))}@{quote(distribution.version)}"
        licence = distribution.metadata.get("License-Expression") or distribution.metadata.get("License")
        if licence:
            # Some packages put the whole text here.
            component["licenses"] = [{"license": {"name": licence.strip().splitlines()[0]}}]
        yield component


def debian_packages() -> Iterator[dict[str, Any]]:
    """Components of the installed packages; none where there is no dpkg."""
    for paragraph in _DPKG.read_text(encoding="utf-8").split("\n\n") if _DPKG.exists() else ():
        fields = Parser().parsestr(paragraph, headersonly=True)
        if fields["Package"]:
            purl = f"pkg:deb/debian/{quote(fields['Package'])}@{quote(fields['Version'])}?arch={fields['Architecture']}"
            yield {"type": "library", "name": fields["Package"], "version": fields["Version"], "purl": purl}


def main() -> None:
    """Write it."""
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "container", "name": sys.argv[1], "version": os.environ["VERSION"]}},
        "components": [*python_packages(), *debian_packages()],
    }
    _FILE.write_text(json.dumps(document, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
