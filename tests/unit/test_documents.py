# SPDX-License-Identifier: GPL-3.0-or-later
"""What the documents state of the project's files, paths, ports and figures, where a program can check it."""

import ast
import collections
import json
import re
import sys

import pytest

from bench.seeing import observe
from gateway.delivery.settings import DeliverySettings
from gateway.edge.render import OPENAPI
from gateway.edge.rest import rest_methods
from tests.pods import PROJECT_ROOT

DOCS = PROJECT_ROOT / "docs"
DOCUMENTS = sorted(
    path
    for folder in (
        "",
        "client",
        "docs",
        "docs/benchmarks",
        "docs/decisions",
        "docs/models",
        "protos/google",
        "serving_config",
    )
    for path in (PROJECT_ROOT / folder).glob("*.md")
)
# Folders whose files are named from the project's folder.
_OF_OURS = "bench|client|docs|export|gateway|images|k8s|protos|serving_config|tests"


def text_of(path):
    return path.read_text(encoding="utf-8")


def prose_of(path):
    """A document without its blocks of code."""
    return re.sub(r"```.*?```", "", text_of(path), flags=re.DOTALL)


def anchors_of(path):
    """The anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", prose_of(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


def links_of(path):
    """(text, file, anchor) of a document's links within the project."""
    for text, link in re.findall(r"\[([^\]]*)\]\(([^)\s]+)\)", prose_of(path)):
        if not re.match(r"\w+:", link):
            file, _, anchor = link.partition("#")
            yield text, path.parent / file if file else path, anchor


def rows_of(path, heading=None):
    """The cells of each row of a document's tables, or of those below a heading."""
    text = text_of(path)
    if heading is not None:
        text = text[text.index(heading) :]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(PROJECT_ROOT)))
def test_links_lead_somewhere(path):
    for text, file, anchor in links_of(path):
        assert file.exists(), (text, file)
        assert not anchor or file.suffix != ".md" or anchor in anchors_of(file), (text, file, anchor)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(PROJECT_ROOT)))
def test_a_decision_is_linked_by_its_number(path):
    for text, file, _ in links_of(path):
        number = re.search(r"\d+", text)
        if file.parent.name == "decisions" and number:
            assert int(number[0]) == int(file.name[:4]), (text, file)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(PROJECT_ROOT)))
def test_files_of_the_project_that_are_named_exist(path):
    # A changelog and decisions name what was there at the time.
    if path.name == "CHANGELOG.md" or path.parent.name == "decisions":
        return
    for name in re.findall(rf"`((?:{_OF_OURS})/[\w./-]*)`", prose_of(path)):
        assert (PROJECT_ROOT / name).exists(), name


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(PROJECT_ROOT)))
def test_targets_of_make_that_are_named_exist(path):
    targets = re.findall(r"^([a-z0-9-]+):", text_of(PROJECT_ROOT / "Makefile"), re.MULTILINE)
    assert path.name == "CHANGELOG.md" or set(re.findall(r"`make ([a-z0-9-]+)", prose_of(path))) <= set(targets)


def test_the_readmes_tree_has_every_package():
    tree = re.search(r"^gateway/\n((?:  .*\n)+)", text_of(PROJECT_ROOT / "README.md"), re.MULTILINE)[1]
    packages = {path.parent.name for path in (PROJECT_ROOT / "gateway").glob("*/__init__.py")}
    assert set(re.findall(r"^  (\w+)/ ", tree, re.MULTILINE)) == packages


@pytest.mark.parametrize(
    "cells", [cells for cells in rows_of(DOCS / "architecture.md") if "gateway/" in cells[1]], ids=str
)
def test_a_library_is_imported_where_the_document_has_it(cells):
    places = [PROJECT_ROOT / place for place in re.findall(r"`([\w/.]+)`", cells[1])]
    for library in re.findall(r"`(\w+)`", cells[0]):
        imported = re.compile(rf"^\s*(?:import|from) {library}\b", re.MULTILINE)
        files = [file for file in (PROJECT_ROOT / "gateway").rglob("*.py") if imported.search(text_of(file))]
        assert files, library
        assert [file for file in files if not any(file.is_relative_to(place) for place in places)] == [], library


SECURITY = PROJECT_ROOT / "SECURITY.md"
LIBRARIES = "## Libraries that face bytes from outside"
# Of the standard library only what reads bytes from outside is in the tables.
READERS_OF_PYTHON = {
    "ssl", "zlib", "gzip", "bz2", "lzma", "http", "urllib", "sqlite3", "csv", "zipfile", "tarfile", "xml", "pickle",
    "marshal", "shelve", "plistlib", "email",
}  # fmt: skip


def imports_of(path):
    """The libraries that a module imports, or reads as data: `grpc`, `google.protobuf`."""
    for node in ast.walk(ast.parse(text_of(path))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") in {"find_spec", "import_module"}:
            names = [argument.value for argument in node.args[:1] if isinstance(argument, ast.Constant)]
        else:
            continue
        for name in names:
            first, *others = name.split(".")
            library = f"{first}.{others[0]}" if first == "google" else first
            if library in READERS_OF_PYTHON or library not in sys.stdlib_module_names | {"gateway", "orrery", "export"}:
                yield library


def importing_modules():
    """Modules by the library that they import; generated stubs are left out."""
    found = collections.defaultdict(set)
    for folder in ("gateway", "client/orrery", "export"):
        for path in (PROJECT_ROOT / folder).rglob("*.py"):
            if path.parent.name != "v1":
                for library in imports_of(path):
                    found[library].add(path)
    return found


def test_the_libraries_that_face_bytes_from_outside_are_those_that_are_imported():
    imported = importing_modules()
    text = text_of(SECURITY)[text_of(SECURITY).index(LIBRARIES) :]
    facing, _, inside = text.partition("These see bytes of ours alone")
    listed = set()
    for cells in [line.strip("|").split("|") for line in facing.splitlines() if line.startswith("| `")]:
        libraries = re.findall(r"`([\w.]+)`", cells[0])
        places = [PROJECT_ROOT / place for place in re.findall(r"`([\w/.]+)`", cells[3])]
        modules = set().union(*(imported[library] for library in libraries))
        assert [path for path in modules if not any(path.is_relative_to(place) for place in places)] == [], libraries
        assert [place for place in places if not any(path.is_relative_to(place) for path in modules)] == [], libraries
        assert re.search(r"\]\(https://", cells[4]), libraries
        listed |= set(libraries)
    ours = {
        name
        for line in inside.splitlines()
        if line.startswith("| `")
        for name in re.findall(r"`(\w+)`", line.split("|")[1])
    }
    assert not listed & ours
    assert listed | ours == set(imported)


def test_the_distributions_that_face_bytes_from_outside_are_pinned():
    lock = text_of(PROJECT_ROOT / "requirements.lock")
    pinned = set(re.findall(r"^([\w.-]+)==\S+(?: ;.*)? \\$\n    --hash=sha256:", lock, re.MULTILINE))
    rows = [cells for cells in rows_of(SECURITY, LIBRARIES) if len(cells) == 5 and "`" in cells[1]]
    named = {name for cells in rows for name in re.findall(r"`([\w-]+)`", cells[1])}
    assert len(named) > 20
    assert named <= pinned


def test_every_path_of_rest_is_in_its_table():
    shown = {}
    for cells in rows_of(DOCS / "rest.md"):
        paths, methods = re.findall(r"`(/api/[\w/]+)`", cells[0]), re.findall(r"`(\w+)`", cells[-1])
        shown |= dict(zip(paths, methods, strict=True))
    assert shown == {rest.path: rest.method.name for rest in rest_methods()}
    assert shown.keys() == json.loads(text_of(OPENAPI))["paths"].keys()


def test_where_each_process_shows_its_metrics():
    rows = [cells for cells in rows_of(DOCS / "observability.md") if re.fullmatch(r"[\d.]+:\d+", cells[1])]
    shown = {(address, re.match(r"`(.*?)`", paths)[1]) for _, address, paths, _ in rows}
    delivery = DeliverySettings.model_fields["metrics_address"].default
    assert shown == {(address, path) for _, address, path in observe.targets()} | {(delivery, "/metrics")}


def test_the_figures_of_columns_are_the_benchmarks():
    (measured,) = [
        cells[1] for cells in rows_of(DOCS / "benchmarks" / "gateway.md") if "PredictColumns through" in cells[0]
    ]
    assert f" {measured} objects a second" in text_of(DOCS / "operations.md").replace("\n", " ")


def test_the_table_of_sizes_is_the_benchmarks():
    measured = {cells[0]: cells for cells in rows_of(DOCS / "benchmarks" / "sizing.md") if cells}
    memory = {cells[0]: cells[1] for cells in measured.values() if len(cells) == 2}  # pod and MiB
    pods = measured["ms a call"]

    def calls_a_second(kind, pod):
        return 1_000 / float(measured[kind][pods.index(pod)])

    shown = {cells[0]: cells[1:] for cells in rows_of(DOCS / "operations.md", "## How many")}
    for name, pod in (
        ("TensorFlow Serving", "model-server"),
        *((p, p) for p in ("edge", "front", "anomaly", "simulation", "feedback")),
    ):
        assert shown[name][1] == memory[pod], name
    for name, kinds in {
        "edge": ("REST predict", "gRPC predict"),
        "front": ("REST predict", "gRPC predict"),
        "anomaly": ("REST anomalies",),
        "simulation": ("REST MOID", "REST simulate"),
        "feedback": ("REST feedback",),
    }.items():
        figures = [float(figure.replace(",", "")) for figure in re.findall(r"(\d[\d,]*) (?!years)", shown[name][0])]
        assert figures[: len(kinds)] == [pytest.approx(calls_a_second(kind, name), rel=0.05) for kind in kinds], name
