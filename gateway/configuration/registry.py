# SPDX-License-Identifier: GPL-3.0-or-later
"""Which environment variables mean something here.

Every pod knows the settings of all pods, so that a variable of another pod in a shared environment is no mistake. Their
modules are named, not imported: no pod imports another's libraries.
"""

import importlib
import re
from collections.abc import Mapping
from typing import Final

from gateway.serving.environment import Settings

PREFIX: Final = "ORRERY_"

# By command. Each module's SETTINGS are the classes that the command reads.
MODULES: Final[Mapping[str, str]] = {
    "front": "gateway.front.settings",
    "anomaly": "gateway.anomaly.settings",
    "simulation": "gateway.simulation.settings",
    "feedback": "gateway.feedback.settings",
    "model-server": "gateway.model_server.settings",
    "deliver": "gateway.delivery.settings",
    "edge": "gateway.edge.settings",
}

# What other programs of this project read.
OTHERS: Final[Mapping[str, str]] = {
    "ORRERY_CATALOGUE_CACHE": "`python -m export`: the folder of downloaded catalogues; unset: var/catalogue.",
    "ORRERY_IMAGE_BASES": "`make images`: `debian` makes the base images from Debian's packages.",
    "ORRERY_OBSERVE_ADDRESS": "`make observe`: where its Prometheus listens; unset: 127.0.0.1:9090.",
    "ORRERY_SHARED": "Benchmarks and long tests: the folder of full catalogues; unset: ../shared.",
}
_DEVELOPERS: Final = ("ORRERY_TEST_", "ORRERY_BENCH_", "ORRERY_PEERS_")

# What Kubernetes sets for a Service whose name begins with "orrery-", unless a pod has enableServiceLinks: false
# (https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables).
_SERVICE_LINK: Final = re.compile(
    r"ORRERY_\w+_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)
_SERVICE_PORT: Final = re.compile(r"ORRERY_\w+_PORT")
_SERVICE_URL: Final = re.compile(r"(tcp|udp|sctp)://.+")


def settings_of(command: str) -> tuple[type[Settings], ...]:
    """The classes of settings that a command reads."""
    classes: tuple[type[Settings], ...] = importlib.import_module(MODULES[command]).SETTINGS
    return classes


def known_variables() -> set[str]:
    """The variables that any program of this project reads."""
    classes = {kind for command in MODULES for kind in settings_of(command)}
    return {kind.variable(field) for kind in classes for field in kind.model_fields} | OTHERS.keys()


def is_foreign(name: str, value: str) -> bool:
    """Whether a variable is Kubernetes' own, or one of developers' tools, which have no list."""
    if name.startswith(_DEVELOPERS) or _SERVICE_LINK.fullmatch(name):
        return True
    return bool(_SERVICE_PORT.fullmatch(name) and _SERVICE_URL.fullmatch(value))
