# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m gateway deliver [--follow]`: bring models once, or go on bringing new versions until SIGTERM."""

import signal
import sys
import threading
from argparse import ArgumentParser

import structlog

from gateway.delivery.carrier import Carrier
from gateway.delivery.published import SourceUnavailable
from gateway.delivery.settings import DeliverySettings
from gateway.serving import logs
from gateway.serving.listening import require_free
from gateway.serving.metrics import MetricsEndpoint
from gateway.serving.starting import CannotStart

log = structlog.get_logger()


def main(parser: ArgumentParser) -> None:
    """Exits with 1 where a model has no version in the store at the end.

    Raises:
        CannotStart: settings make no sense, or the address of metrics is taken.
    """
    parser.add_argument("--follow", action="store_true", help="go on bringing new versions until SIGTERM")
    follows = parser.parse_args().follow
    settings = DeliverySettings()  # type: ignore[call-arg]  # from the environment
    settings.require_files()
    if follows:
        require_free({"deliver": settings})
    logs.configure("delivery", settings.log_level)
    # A process without a parent ignores signals that it does not ask for.
    stop = threading.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: stop.set())
    try:
        carrier = Carrier(settings)
    except (SourceUnavailable, OSError, ValueError) as error:
        raise CannotStart(str(error)) from error
    if follows:
        _follow(carrier, settings, stop)
    else:
        _once(carrier)


def _look(carrier: Carrier) -> None:
    try:
        carrier.look()
    except (SourceUnavailable, OSError) as error:
        log.error("nothing delivered", error=str(error))  # noqa: TRY400  # the sentence says it all


def _once(carrier: Carrier) -> None:
    _look(carrier)
    if missing := carrier.missing():
        log.error("no version", models=missing)
        sys.exit(1)


def _follow(carrier: Carrier, settings: DeliverySettings, stop: threading.Event) -> None:
    metrics = MetricsEndpoint(settings.metrics_address)
    log.info("following", source=settings.source, models=settings.models)
    try:
        while not stop.is_set():
            _look(carrier)
            stop.wait(settings.every_s)
    finally:
        metrics.close()
