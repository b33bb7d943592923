# SPDX-License-Identifier: GPL-3.0-or-later
"""Structured logs: one JSON object a line on standard error, each with its request id while a call is served."""

import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO, cast

import structlog

from gateway.serving.context import REQUEST_ID
from gateway.serving.log_stream import LogStream


def configure(pod: str, level: str) -> None:
    """Send this process' logs to standard error as JSON lines that name the pod.

    Args:
        pod: "front", "anomaly", ...
        level: a name of the logging module: "INFO".

    Raises:
        ValueError: there is no such level.
    """
    levels = logging.getLevelNamesMapping()
    if level.upper() not in levels:
        raise ValueError(f"log level {level!r} is none of {', '.join(levels)}")
    shared: list[structlog.typing.Processor] = [
        name_call,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _name_pod(pod),
    ]
    render = structlog.processors.JSONRenderer()
    # A process may be started without one.
    stream = cast("TextIO", LogStream(sys.stderr or Path(os.devnull).open("w", encoding="utf-8")))  # noqa: SIM115
    structlog.configure(
        processors=[*shared, render],
        wrapper_class=structlog.make_filtering_bound_logger(levels[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=True,
    )
    # What libraries log, warnings and worse.
    handler = logging.StreamHandler(stream)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processor=render, foreign_pre_chain=shared))
    logging.basicConfig(handlers=[handler], level=max(logging.WARNING, levels[level.upper()]), force=True)


def report_failure(pod: str, causes: Sequence[str]) -> None:
    """Write why a pod cannot start to standard error, each cause in a line: plain on a terminal, else as in its log."""
    if sys.stderr and sys.stderr.isatty():
        sys.stderr.writelines(f"{pod} cannot start: {cause}\n" for cause in causes)
        return
    configure(pod, "INFO")
    for cause in causes:
        structlog.get_logger().error("cannot start", error=cause)


def name_call(
    _logger: structlog.typing.WrappedLogger, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Add the id of the call being served; a processor of structlog's."""
    if (request_id := REQUEST_ID.get(None)) is not None:
        event["request_id"] = request_id
    return event


def _name_pod(pod: str) -> structlog.typing.Processor:
    def add(
        _logger: structlog.typing.WrappedLogger, _method: str, event: structlog.typing.EventDict
    ) -> structlog.typing.EventDict:
        event["pod"] = pod
        return event

    return add
