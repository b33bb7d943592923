# SPDX-License-Identifier: GPL-3.0-or-later
"""Real pods for tests: on free ports, in this process or as processes of their own."""

import contextlib
import random
import socket
from functools import partial
from pathlib import Path

from gateway.anomaly import app as anomaly
from gateway.anomaly.settings import AnomalySettings
from gateway.feedback import app as feedback
from gateway.feedback.settings import FeedbackSettings
from gateway.front import app as front
from gateway.front.settings import FrontSettings
from gateway.front.tuning import Tuning
from gateway.serving import server

PROJECT_ROOT = Path(__file__).resolve().parents[1]
ANYWHERE = "127.0.0.1:0"


def free_address() -> str:
    """A loopback address that nobody listens on, and that no system gives to who asks for any (Linux: from 32768)."""
    while True:
        address = ("127.0.0.1", random.randrange(12_000, 32_000))  # noqa: S311  # nothing to guess
        with contextlib.closing(socket.socket()) as probe:
            try:
                probe.bind(address)
            except OSError:
                continue
            return f"{address[0]}:{address[1]}"


def free_settings(folder: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Addresses for a whole system that disturbs no other: by pod ("front", "front_metrics"), and as environment.

    Votes go to the folder.
    """
    pods = ("front", "anomaly", "simulation", "feedback", "model_server", "edge")
    metered = ("front", "anomaly", "simulation", "feedback", "edge")
    addresses = {name: free_address() for name in (*pods, *(f"{pod}_metrics" for pod in metered))}
    addresses["status"] = free_address()
    environment = {f"ORRERY_{pod.upper()}_ADDRESS": addresses[pod] for pod in pods}
    environment |= {f"ORRERY_{pod.upper()}_METRICS_ADDRESS": addresses[f"{pod}_metrics"] for pod in metered}
    behind = ("anomaly", "simulation", "feedback", "model_server")
    environment |= {f"ORRERY_FRONT_{pod.upper()}_ADDRESS": addresses[pod] for pod in behind}
    environment["ORRERY_EDGE_FRONT_ADDRESSES"] = addresses["front"]
    environment["ORRERY_MODEL_SERVER_STATUS_ADDRESS"] = addresses["status"]
    # As freshly installed: the kernel of asteroids is an option that changes encounters by kilometres.
    environment["ORRERY_ASTEROID_KERNEL"] = ""
    environment["ORRERY_FEEDBACK_FOLDER"] = str(folder)
    return addresses, environment


@contextlib.asynccontextmanager
async def running_front(**settings):
    """A front in this process; its backends are wherever the settings say (nowhere by default).

    Fields of Tuning may be given as well.
    """
    tuned = {name: settings.pop(name) for name in Tuning.__dataclass_fields__ if name in settings}
    # It asks for the labels before it serves, and waits as long for a model server that is away.
    label_period_s = 1.0 if "model_server_address" in settings else 0.1
    tuning = Tuning(**{"health_period_s": 0.1, "label_period_s": label_period_s, **tuned})
    backends = ("model_server", "anomaly", "simulation", "feedback")
    nowhere = {f"{name}_address": free_address() for name in backends}
    chosen = FrontSettings(
        **{
            "address": ANYWHERE,
            "metrics_address": ANYWHERE,
            "grace_s": 1.0,
            **nowhere,
            **settings,
        }
    )
    async with server.running(chosen, partial(front.mount, chosen, tuning=tuning)) as pod:
        yield pod


@contextlib.asynccontextmanager
async def running_anomaly(**settings):
    """An anomaly pod in this process."""
    chosen = AnomalySettings(**{"address": ANYWHERE, "metrics_address": ANYWHERE, "grace_s": 1.0, **settings})
    async with server.running(chosen, partial(anomaly.mount, chosen, poll_s=0.1)) as pod:
        yield pod


@contextlib.asynccontextmanager
async def running_feedback(*, max_waiting=feedback.MAX_WAITING, **settings):
    """A feedback pod in this process, its store where the settings say: `folder`, `database_url`."""
    chosen = FeedbackSettings(**{"address": ANYWHERE, "metrics_address": ANYWHERE, "grace_s": 1.0, **settings})
    mount = partial(feedback.mount, chosen, max_waiting=max_waiting, health_period_s=0.1)
    async with server.running(chosen, mount, "feedback") as pod:
        yield pod
