# SPDX-License-Identifier: GPL-3.0-or-later
"""Every class of settings is known to every pod, and every variable that this project names is one that it reads."""

import ast
import importlib
import re
import subprocess
import sys

import pytest

from gateway.configuration.registry import MODULES, OTHERS, is_foreign, known_variables, settings_of
from gateway.configuration.unknown import UnknownSettings, require_known
from tests.pods import PROJECT_ROOT

TEXTS = (".py", ".md", ".yaml", ".yml", ".j2", ".config", ".sh", ".json", ".toml")
FOLDERS = ("gateway", "export", "bench", "client", "docs", "images", "k8s", "serving_config", "tests")
# What this project's C code defines, and variables that are made up: in docs and in tests of this very check.
NO_SETTINGS = re.compile(r"ORRERY_(TOGETHER|WIDE|PULLS_H|FRONT_CALLER_FILE|FRONT_GRACE_SECONDS)")


def classes_of_settings():
    """All classes in the gateway's source whose base's name ends in "Settings"."""
    for path in sorted((PROJECT_ROOT / "gateway").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            bases = [ast.unparse(base) for base in node.bases] if isinstance(node, ast.ClassDef) else []
            if any(base.endswith("Settings") for base in bases) and node.name != "Settings":
                module = ".".join(path.relative_to(PROJECT_ROOT).with_suffix("").parts)
                if node.name not in {"InvalidSettings", "UnknownSettings", "UnsafeSettings"}:
                    yield getattr(importlib.import_module(module), node.name)


def test_every_class_of_settings_is_registered():
    registered = {kind for command in MODULES for kind in settings_of(command)}
    found = set(classes_of_settings())
    assert len(found) > 10
    # What is not registered is a part of what is.
    assert {kind for kind in found if not any(issubclass(one, kind) for one in registered)} == set()


def names_in_use():
    """(name, file) of all variables that the project's files name."""
    files = [path for folder in FOLDERS for path in (PROJECT_ROOT / folder).rglob("*") if path.suffix in TEXTS]
    files += [PROJECT_ROOT / name for name in ("Makefile", "README.md", ".ci/run")]
    files += (PROJECT_ROOT / "images").rglob("Dockerfile")
    for path in files:
        if {"node_modules", "configuration"} & set(path.parts):
            continue
        for name in set(re.findall(r"\bORRERY_[A-Z0-9_]*[A-Z0-9]\b(?!_|\{|…|\*)", path.read_text(encoding="utf-8"))):
            yield name, str(path.relative_to(PROJECT_ROOT))


def test_every_variable_that_is_named_anywhere_is_read_by_something():
    known = known_variables()
    unknown = {
        (name, where)
        for name, where in names_in_use()
        if name not in known and not is_foreign(name, "") and not NO_SETTINGS.match(name)
    }
    assert unknown == set()


def test_other_programs_read_what_is_said_of_them():
    used = {name for name, where in names_in_use() if not where.startswith(("docs", "gateway/configuration"))}
    assert set(OTHERS) <= used


def test_the_settings_of_all_pods_are_known_without_their_libraries():
    script = """
import sys
from gateway.configuration.registry import known_variables
known_variables()
heavy = {"tensorflow", "numpy", "rebound", "assist", "onnxruntime", "sqlalchemy", "obstore", "jinja2", "grpc"}
print(sorted(heavy & {name.partition(".")[0] for name in sys.modules}))
"""
    shown = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, cwd=PROJECT_ROOT)
    assert shown.stdout.strip() == "[]"


def test_a_shared_environment_is_allowed():
    environment = dict.fromkeys(known_variables(), "value")
    require_known(environment | {"ORRERY_TEST_KILLS": "60", "orrery_front_address": "127.0.0.1:1", "PATH": "/bin"})


def test_what_kubernetes_sets_for_a_service_is_allowed():
    # A service "orrery-front" with a port named "grpc".
    require_known(
        {
            "ORRERY_FRONT_SERVICE_HOST": "10.0.0.11",
            "ORRERY_FRONT_SERVICE_PORT": "50051",
            "ORRERY_FRONT_SERVICE_PORT_GRPC": "50051",
            "ORRERY_FRONT_PORT": "tcp://10.0.0.11:50051",
            "ORRERY_FRONT_PORT_50051_TCP": "tcp://10.0.0.11:50051",
            "ORRERY_FRONT_PORT_50051_TCP_PROTO": "tcp",
            "ORRERY_FRONT_PORT_50051_TCP_PORT": "50051",
            "ORRERY_FRONT_PORT_50051_TCP_ADDR": "10.0.0.11",
        }
    )


def test_no_setting_could_be_taken_for_what_kubernetes_sets():
    assert [name for name in known_variables() if is_foreign(name, "tcp://10.0.0.11:1")] == []


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("ORRERY_FRONT_CALLER_FILE", "ORRERY_FRONT_CALLERS_FILE"),
        ("ORRERY_FRONT_GRACE_SECONDS", "ORRERY_FRONT_GRACE_S"),
        ("orrery_edge_cors_origin", "ORRERY_EDGE_CORS_ORIGINS"),
        ("ORRERY_TRACING_ENDPOINTS", "ORRERY_TRACING_ENDPOINT"),
        # Kubernetes' variable of this name has a URL.
        ("ORRERY_FRONT_PORT", "ORRERY_FRONT_GRACE_S"),
    ],
)
def test_a_misspelt_variable_is_named_with_the_nearest_setting(name, nearest):
    with pytest.raises(UnknownSettings) as error:
        require_known({name: "50051"})
    assert error.value.causes == (f"{name} is not a setting; the nearest one is {nearest}",)
