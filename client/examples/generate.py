# SPDX-License-Identifier: Apache-2.0
# /// script
# requires-python = ">=3.11"
# dependencies = ["grpcio-tools==1.80.0"]
# ///
"""Stubs for the examples in other languages, from the protos: `generate.py go|typescript FOLDER`.

Go needs protoc-gen-go and protoc-gen-go-grpc on the path, TypeScript ts-proto in FOLDER/node_modules.
"""

import sys
from importlib import resources
from pathlib import Path

from grpc_tools import protoc

PROTOS = Path(__file__).resolve().parents[2] / "protos"
PACKAGE = "orrery/inference/v1"
# What a refusal carries, and what the annotations of our protos import.
GOOGLE_SOURCES = [f"google/{name}.proto" for name in ("rpc/status", "rpc/error_details", "api/annotations", "api/http")]


def main(language: str, folder: Path) -> None:
    """Generate into a folder; fails with protoc's own words."""
    sources = sorted(str(path.relative_to(PROTOS)) for path in (PROTOS / PACKAGE).glob("*.proto"))
    includes = [f"-I{PROTOS}", f"-I{resources.files('grpc_tools') / '_proto'}"]
    made = {"go": go, "typescript": typescript}[language](sources, folder)
    if status := protoc.main(["protoc", *includes, *made]):
        sys.exit(status)


def go(sources: list[str], folder: Path) -> list[str]:
    """A package "orrery/inference/v1" of a GOPATH; Google's own packages are Go modules that exist."""
    out = folder / "src"
    out.mkdir(parents=True, exist_ok=True)
    mapped = [f"M{source}={PACKAGE};v1" for source in sources]
    options = [f"--{plugin}_opt={where}" for plugin in ("go", "go-grpc") for where in mapped]
    return [f"--go_out={out}", f"--go-grpc_out={out}", *options, *sources]


def typescript(sources: list[str], folder: Path) -> list[str]:
    """Modules below src/gen, with clients of @grpc/grpc-js; fields keep the names of the protos, JSON has its own."""
    out = folder / "src" / "gen"
    out.mkdir(parents=True, exist_ok=True)
    plugin = f"--plugin=protoc-gen-ts_proto={folder / 'node_modules' / '.bin' / 'protoc-gen-ts_proto'}"
    options = "outputServices=grpc-js,esModuleInterop=true,snakeToCamel=json,importSuffix=.js,stringEnums=false"
    return [plugin, f"--ts_proto_out={out}", f"--ts_proto_opt={options}", *sources, *GOOGLE_SOURCES]


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]).resolve())
