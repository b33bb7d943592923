# SPDX-License-Identifier: GPL-3.0-or-later
"""The model servers that a rollout speaks to: what they have loaded, and a new config."""

import socket
import time
from collections.abc import Iterable, Sequence
from typing import Any, Final

import grpc

from export.rollout.config import RolloutError
from export.rollout.protocol import MESSAGES

AVAILABLE: Final = 30
END: Final = 50
_CALL_TIMEOUT_S: Final = 5.0
_RELOAD_TIMEOUT_S: Final = 60.0
_POLL_S: Final = 0.05


def addresses(given: Sequence[str]) -> list[str]:
    """Every address behind some host:port: a headless name means all of its pods.

    Raises:
        RolloutError: a name is unknown, or there is no port.
    """
    found: list[str] = []
    for address in given:
        host, _, port = address.rpartition(":")
        try:
            resolved = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
        except (OSError, ValueError) as error:
            raise RolloutError(f"the model server {address} cannot be found: {error}") from error
        for *_, place in resolved:
            target = f"[{place[0]}]:{port}" if ":" in str(place[0]) else f"{place[0]}:{port}"
            if target not in found:
                found.append(target)
    return found


_AWAY: Final = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED})


class ModelServers:
    """All servers of one model; what one of them refuses stops the step."""

    def __init__(self, targets: Sequence[str], model: str, *, some_may_be_away: bool = False) -> None:
        """Open channels; nobody is asked yet.

        Args:
            targets: host:port of each.
            model: its name.
            some_may_be_away: go on without servers that do not answer, for they will read the file when they are back.
        """
        self._model = model
        self._some_may_be_away = some_may_be_away
        self.away: set[str] = set()
        options = [("grpc.use_local_subchannel_pool", 1)]
        self._channels = {target: grpc.insecure_channel(target, options=options) for target in targets}

    def close(self) -> None:
        """Hang up."""
        for channel in self._channels.values():
            channel.close()

    def states(self) -> dict[str, dict[int, tuple[int, str]]]:
        """By server: state and error of each version it has ever wanted.

        Raises:
            RolloutError: a server does not answer.
        """
        request = MESSAGES["GetModelStatusRequest"]()
        request.model_spec.name = self._model
        found: dict[str, dict[int, tuple[int, str]]] = {}
        for target in self._present():
            try:
                reply = _method(self._channels[target], "GetModelStatus")(request, timeout=_CALL_TIMEOUT_S)
            except grpc.RpcError as error:
                if error.code() is grpc.StatusCode.NOT_FOUND:
                    found[target] = {}
                else:
                    self._refused(target, error)
                continue
            found[target] = {
                entry.version: (entry.state, entry.status.error_message) for entry in reply.model_version_status
            }
        return found

    def newest_available(self) -> int | None:
        """The newest version that every server answers with; None where there is none."""
        common = [
            {version for version, (state, _) in said.items() if state == AVAILABLE} for said in self.states().values()
        ]
        shared = set.intersection(*common) if common else set()
        return max(shared, default=None)

    def await_available(self, versions: Iterable[int], within_s: float) -> None:
        """Return when all servers have all of these versions loaded.

        Raises:
            RolloutError: one has given a version up, or it takes too long; says which, where and why.
        """
        wanted = sorted(set(versions))
        until = time.monotonic() + within_s
        while True:
            missing = []
            for target, said in self.states().items():
                for version in wanted:
                    state, error = said.get(version, (0, ""))
                    if state == END and error:
                        raise RolloutError(f"{target} cannot serve {self._model} {version}: {error}")
                    if state != AVAILABLE:
                        missing.append(f"{self._model} {version} is not AVAILABLE at {target}")
            if not missing:
                return
            if time.monotonic() > until:
                raise RolloutError(f"{'; '.join(missing)} after {within_s:g} s")
            time.sleep(_POLL_S)

    def reload(self, config: Any) -> None:
        """Put a config in force everywhere, now.

        Raises:
            RolloutError: a server refuses it; those before it have it.
        """
        request = MESSAGES["ReloadConfigRequest"](config=config)
        for target in self._present():
            try:
                reply = _method(self._channels[target], "HandleReloadConfigRequest")(request, timeout=_RELOAD_TIMEOUT_S)
            except grpc.RpcError as error:
                self._refused(target, error)
                continue
            if reply.status.error_code:
                raise RolloutError(f"the model server {target} refuses the config: {reply.status.error_message}")

    def _present(self) -> list[str]:
        return [target for target in self._channels if target not in self.away]

    def _refused(self, target: str, error: Any) -> None:
        words = f"the model server {target} says {error.code().name}: {error.details()}"
        if not self._some_may_be_away or error.code() not in _AWAY or self._present() == [target]:
            raise RolloutError(words) from error
        self.away.add(target)


def _method(channel: grpc.Channel, name: str) -> Any:
    kind = "ReloadConfig" if name.startswith("HandleReload") else name
    return channel.unary_unary(
        f"/tensorflow.serving.ModelService/{name}",
        request_serializer=MESSAGES[f"{kind}Request"].SerializeToString,
        response_deserializer=MESSAGES[f"{kind}Response"].FromString,
    )
