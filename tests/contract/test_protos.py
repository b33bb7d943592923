# SPDX-License-Identifier: GPL-3.0-or-later
"""A clone is enough to generate code: protoc and buf find every import in protos/."""

import importlib.metadata
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from google.api import annotations_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from tests.pods import PROJECT_ROOT

BUF = Path(sys.executable).parent / "buf"
# protoc of the generators' own version, in an environment that uv makes for one command.
GRPCIO_TOOLS = ["run", "--quiet", "--no-project", "--with", "grpcio-tools==1.80.0", "python", "-m", "grpc_tools.protoc"]
WITH_PROTOC = "no protoc: install it (Debian: apt-get install protobuf-compiler libprotobuf-dev)"


def run(*command, cwd):
    ended = subprocess.run([str(word) for word in command], cwd=cwd, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.fixture
def clone(tmp_path):
    """What git would check out for users of the contract, uncommitted changes included."""
    listed = ["git", "ls-files", "-z", "protos", "buf.yaml", "buf.gen.yaml"]
    tracked = subprocess.run(listed, cwd=PROJECT_ROOT, capture_output=True, text=True, check=True)
    for name in filter(None, tracked.stdout.split("\0")):
        target = tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(PROJECT_ROOT / name, target)
    return tmp_path


@pytest.fixture(params=["grpcio-tools", "protobuf-compiler"])
def protoc(request):
    """Two compilers: PyPI's and the system's."""
    if request.param == "grpcio-tools":
        return [shutil.which("uv") or PROJECT_ROOT / ".tools" / "bin" / "uv", *GRPCIO_TOOLS]
    if shutil.which("protoc") is None:
        pytest.skip(WITH_PROTOC)
    return ["protoc"]


def test_protoc_needs_one_include_path(clone, protoc):
    sources = sorted(path.relative_to(clone) for path in clone.glob("protos/orrery/inference/v1/*.proto"))
    (clone / "gen").mkdir()
    outputs = ["--python_out=gen", "--include_imports", "--descriptor_set_out=gen/contract.binpb"]
    run(*protoc, "-I", "protos", *outputs, *sources, cwd=clone)
    stubs = (clone / "gen/orrery/inference/v1/prediction_service_pb2.py").read_text(encoding="utf-8")
    assert "from google.api import annotations_pb2" in stubs
    files = FileDescriptorSet.FromString((clone / "gen" / "contract.binpb").read_bytes()).file
    methods = {method.name: method for file in files for service in file.service for method in service.method}
    assert methods["Predict"].options.Extensions[annotations_pb2.http].post == "/api/predict"


def test_buf_generates_typescript(clone):
    if shutil.which("npx") is None:
        pytest.skip("no npx: install Node (Debian: apt-get install nodejs npm)")
    run(BUF, "lint", cwd=clone)
    run(BUF, "generate", cwd=clone)
    service = (clone / "gen/orrery/inference/v1/prediction_service_pb.ts").read_text(encoding="utf-8")
    assert "export const PredictionService: GenService<{" in service
    assert 'from "../../../google/api/annotations_pb"' in service
    refusal = (clone / "gen/google/rpc/error_details_pb.ts").read_text(encoding="utf-8")
    assert "export type BadRequest = Message<" in refusal


def test_buf_generates_by_a_plugin_of_protoc(clone):
    if shutil.which("protoc") is None:
        pytest.skip(WITH_PROTOC)
    template = {"version": "v2", "plugins": [{"protoc_builtin": "java", "out": "gen"}]}
    run(BUF, "generate", "protos", "--template", json.dumps(template), cwd=clone)
    written = (clone / "gen/orrery/inference/v1/PredictionServiceOuterClass.java").read_text(encoding="utf-8")
    assert "class PredictResponse extends" in written
    assert "com.google.api.AnnotationsProto.getDescriptor()" in written


def test_the_copies_of_googleapis_are_the_packages():
    copies = sorted((PROJECT_ROOT / "protos" / "google").rglob("*.proto"))
    assert len(copies) == 4
    readme = (PROJECT_ROOT / "protos" / "google" / "README.md").read_text(encoding="utf-8")
    installed = importlib.metadata.version("googleapis-common-protos")
    assert f"googleapis-common-protos {installed}," in readme, "pin the lock's version in protos/generate.py"
    package = Path(annotations_pb2.__file__).parents[2]
    for copy in copies:
        assert copy.read_bytes() == (package / copy.relative_to(PROJECT_ROOT / "protos")).read_bytes(), copy
