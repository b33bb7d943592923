# SPDX-License-Identifier: GPL-3.0-or-later
"""Internal errors, sent to a Sentry-compatible server; the one door to its SDK, loaded only where a DSN is set.

An event holds the errors' classes, where they were raised, the method and the request id. It holds no variable and no
error's own words: these may quote a request.
"""

import sentry_sdk
from sentry_sdk.types import Event, Hint
from sentry_sdk.utils import event_from_exception


class ErrorReports:
    """Sends events in the background, through a client of its own: nothing global is touched."""

    def __init__(self, dsn: str, pod: str) -> None:
        """Start the background thread.

        Args:
            dsn: "https://key@host/project".
            pod: "front", "anomaly", …

        Raises:
            ValueError: the DSN makes no sense.
        """
        self._client = sentry_sdk.Client(
            dsn=dsn,
            server_name=pod,
            default_integrations=False,
            auto_enabling_integrations=False,
            include_local_variables=False,
            include_source_context=False,
            max_request_body_size="never",
            max_breadcrumbs=0,
            before_send=_without_words,
        )

    def report(self, error: BaseException, method: str, request_id: str) -> None:
        """Send an error on its way.

        Args:
            error: what was raised, with its traceback.
            method: "/package.Service/Method".
            request_id: finds the call in the log.
        """
        event, hint = event_from_exception(error, client_options=self._client.options)
        event["tags"] = {"method": method, "request_id": request_id}
        self._client.capture_event(event, hint)

    def close(self) -> None:
        """Send what is left, and stop; gives up after 2 s."""
        self._client.close(timeout=2.0)


def _without_words(event: Event, _hint: Hint) -> Event:
    for error in event.get("exception", {}).get("values", []):
        error["value"] = ""
    return event
