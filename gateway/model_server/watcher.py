# SPDX-License-Identifier: GPL-3.0-or-later
"""The thread that makes the repository follow the config and the disk.

It looks for version folders, reads the config file when that has changed, and takes configs from
HandleReloadConfigRequest: one after the other, so that no two configs mix.
"""

import math
import queue
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any, TypeAlias

import structlog
from google.rpc import code_pb2

from gateway.model_server.config import ModelSource, model_sources, read_config_file
from gateway.model_server.errors import Refusal, failed_precondition, not_found
from gateway.model_server.repository import Repository
from gateway.model_server.settings import Flags, ModelServerSettings
from gateway.model_server.storage import version_folders

# A config file that was refused is tried again after this, or as soon as it changes: a label's version may be loaded
# by then.
REFUSED_RETRY_S = 10.0

Sources: TypeAlias = Mapping[str, ModelSource]

log = structlog.get_logger()

_STOP = object()
_WAKE = object()


class Watcher:
    """Keeps a repository as the config wants it."""

    def __init__(
        self,
        settings: ModelServerSettings,
        flags: Flags,
        repository: Repository[Any],
        on_config: Callable[[], None],
    ) -> None:
        """Read the config file; nothing is loaded before `start`.

        Args:
            settings: where config and models lie.
            flags: how often to look, and what labels may name.
            repository: what to keep as the config wants it.
            on_config: told, on the watcher's thread, when another config is in force.

        Raises:
            Refusal: the config is wrong.
        """
        self._settings = settings
        self._flags = flags
        self._repository = repository
        self._on_config = on_config
        # A wake-up, a stop, or a config with the future of its outcome.
        self._jobs: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="model-watcher", daemon=True)
        self._complaints: dict[str, str] = {}
        self._file_config = read_config_file(settings.model_config_file)
        self._refused_config: Any = None
        self._retry_at_s = math.inf
        self._sources: Sources = {}
        sources = model_sources(self._file_config, settings.model_store)
        self._check_labels(sources)
        self._sources = sources
        repository.set_labels({name: source.labels for name, source in sources.items()})
        self.settled = threading.Event()

    @property
    def sources(self) -> Sources:
        """The models of the config in force, by name."""
        return self._sources

    @property
    def is_running(self) -> bool:
        """Whether anything would still be loaded."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Start following; `settled` is set when the first round of loading is over, well or badly."""
        self._thread.start()

    def stop(self) -> None:
        """Stop following and unload everything; call it when no calls come in any more."""
        self._jobs.put(_STOP)
        self._thread.join()
        while not self._jobs.empty():
            job = self._jobs.get()
            if isinstance(job, tuple):
                job[1].cancel()
        self._follow({})

    def wake(self) -> None:
        """Say that there may be something to do."""
        self._jobs.put(_WAKE)

    def reload(self, config: Any) -> Future[None]:
        """Put another ModelServerConfig in force, all of it or nothing.

        Its new models are loaded while the old config still serves; then one replaces the other.

        Returns:
            A future that ends when the config is in force, or with the Refusal that says why it is not.
        """
        outcome: Future[None] = Future()
        self._jobs.put((config, outcome))
        return outcome

    def _run(self) -> None:
        try:
            self._follow(self._sources)
        finally:
            self.settled.set()
        folders_wait_s = self._flags.file_system_poll_wait_s or math.inf
        config_wait_s = self._flags.model_config_poll_wait_s or math.inf
        folders_due_s = time.monotonic() + folders_wait_s
        config_due_s = time.monotonic() + config_wait_s
        while (job := self._next_job(min(folders_due_s, config_due_s))) is not _STOP:
            if isinstance(job, tuple):
                self._answer(*job)
            if time.monotonic() >= config_due_s:
                self._read_config_file()
                config_due_s = time.monotonic() + config_wait_s
            if time.monotonic() >= folders_due_s:
                self._follow(self._sources)
                folders_due_s = time.monotonic() + folders_wait_s
            self._settle()

    def _next_job(self, due_s: float) -> Any:
        wait_s = None if math.isinf(due_s) else max(due_s - time.monotonic(), 0.0)
        try:
            return self._jobs.get(timeout=wait_s)
        except queue.Empty:
            return _WAKE

    def _answer(self, config: Any, outcome: Future[None]) -> None:
        if not outcome.set_running_or_notify_cancel():
            return
        try:
            self._apply(config)
        except Refusal as refusal:
            outcome.set_exception(refusal)
        else:
            outcome.set_result(None)

    def _read_config_file(self) -> None:
        try:
            config = read_config_file(self._settings.model_config_file)
        except Refusal as refusal:
            self._complain("config file", str(refusal))
            return
        if config == self._file_config:
            self._hush("config file")
            return
        if config == self._refused_config and time.monotonic() < self._retry_at_s:
            return
        try:
            self._apply(config)
        except Refusal as refusal:
            self._refused_config = config
            self._retry_at_s = time.monotonic() + REFUSED_RETRY_S
            self._complain("config file", str(refusal))
        else:
            self._file_config = config
            self._hush("config file")

    def _apply(self, config: Any) -> None:
        sources = model_sources(config, self._settings.model_store)
        self._check_labels(sources)
        added = {name: source for name, source in sources.items() if name not in self._sources}
        for source in added.values():
            if not source.policy.select(version_folders(source.base_path)):
                raise not_found(
                    f"Unable to find a numerical version path for servable {source.name} at: {source.base_path}"
                )
        self._follow({**self._sources, **added})
        failed = [name for name in added if not self._repository.is_available(name)]
        if failed:
            reasons = ", ".join(self._reason(name) for name in failed)
            self._follow(self._sources)
            raise Refusal(code_pb2.UNKNOWN, f"{len(failed)} model(s) did not become available: {{{reasons}, }}")
        self._sources = sources
        self._repository.set_labels({name: source.labels for name, source in sources.items()})
        log.info("config in force", models=sorted(sources))
        self._follow(sources)
        self._on_config()

    def _check_labels(self, sources: Sources) -> None:
        for name, source in sources.items():
            known = self._sources[name].labels if name in self._sources else {}
            for label, number in source.labels.items():
                is_move = known.get(label, number) != number
                if self._flags.allow_version_labels_for_unavailable_models and not is_move:
                    continue
                if not self._repository.is_available(name, number):
                    raise failed_precondition(
                        f"Request to assign label to version {number} of model {name}, "
                        "which is not currently available for inference"
                    )

    def _follow(self, sources: Sources) -> None:
        """Bring the repository to what these sources have on disk now."""
        for name, source in sources.items():
            try:
                folders = version_folders(source.base_path)
            except Refusal as refusal:
                # A folder that is away for a moment unloads nothing.
                self._complain(name, str(refusal))
                continue
            chosen = source.policy.select(folders)
            if chosen:
                self._hush(name)
            else:
                self._complain(name, f"No versions of servable {name} found under base path {source.base_path}")
            self._repository.aspire(name, {number: folders[number] for number in chosen})
        for name in self._repository.models() - sources.keys():
            self._repository.aspire(name, {})
        self._settle()

    def _settle(self) -> None:
        while self._repository.step():
            pass

    def _reason(self, name: str) -> str:
        for status in self._repository.statuses(name):
            if status.error is not None:
                return f"{{name: {name} version: {status.number} due to error: {status.error}}}"
        return f"{{name: {name}}}"

    def _complain(self, about: str, complaint: str) -> None:
        """Log a complaint once, not at every look."""
        if self._complaints.get(about) != complaint:
            self._complaints[about] = complaint
            log.warning(complaint)

    def _hush(self, about: str) -> None:
        self._complaints.pop(about, None)
