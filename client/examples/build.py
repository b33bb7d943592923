# SPDX-License-Identifier: Apache-2.0
"""Build the examples whose tools are installed: `python client/examples/build.py [go|typescript|browser ...]`.

Prints a line for each. Missing tools are no failure. The exit code is 1 if a build fails.
"""

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

PROJECT_ROOT = Path(__file__).resolve().parents[2]
NODE = "Node (Debian: apt-get install nodejs npm; macOS: brew install node)"
GO = (
    "Go and Debian's packages for it (apt-get install golang-go protoc-gen-go-grpc golang-google-grpc-dev"
    " golang-google-protobuf-dev golang-google-genproto-dev)"
)
CHROMIUM = "Chromium (Debian: apt-get install chromium; macOS: brew install chromium)"


@dataclass(frozen=True)
class Example:
    """An example that must be built: the file that make builds, and what that needs."""

    target: str
    # Commands on the path, or absolute paths.
    tools: tuple[str, ...]
    install: str

    def missing(self) -> str | None:
        """What to install first, in words; None if everything is here."""
        absent = [tool for tool in self.tools if shutil.which(tool) is None and not Path(tool).is_dir()]
        return f"no {', '.join(absent)}: install {self.install}" if absent else None


EXAMPLES = {
    "go": Example(
        "build/examples/go/bin/tour", ("go", "protoc-gen-go-grpc", "/usr/share/gocode/src/google.golang.org/grpc"), GO
    ),
    "typescript": Example("build/examples/typescript/dist/tour.js", ("node", "npm"), NODE),
    "browser": Example("build/examples/browser/dist/page.js", ("node", "npm"), NODE),
}


def find_chromium() -> str | None:
    """The path of a Chromium or Chrome, which runs the browser's example."""
    names = ("chromium", "chromium-browser", "google-chrome", "/Applications/Chromium.app/Contents/MacOS/Chromium")
    return next(filter(None, map(shutil.which, names)), None)


def main(names: list[str]) -> None:
    """Build the named examples, or all."""
    failed = []
    for name in names or EXAMPLES:
        example = EXAMPLES[name]
        if missing := example.missing():
            print(f"{name}: not built, {missing}", flush=True)
            continue
        made = subprocess.run(["make", "--silent", example.target], cwd=PROJECT_ROOT, check=False)  # noqa: S603, S607  # our own targets
        if made.returncode:
            failed.append(name)
            continue
        print(f"{name}: {example.target}", flush=True)
        if name == "browser" and find_chromium() is None:
            print(f"{name}: not run, no Chromium: install {CHROMIUM}", flush=True)
    if failed:
        sys.exit(f"failed to build: {', '.join(failed)}")


if __name__ == "__main__":
    main(sys.argv[1:])
