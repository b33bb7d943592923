# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of the classifier's rollout: labels move in models.config, never before their version is AVAILABLE."""

import contextlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from export.publishing import publish
from export.rollout import config as configs
from export.rollout.config import CANARY, CHALLENGER, CHAMPION, PREVIOUS, STABLE, RolloutError
from export.rollout.servers import ModelServers
from export.rollout.store import newest_challenger, retire

LOAD_WITHIN_S: Final = 180.0
"""Longer than a version takes to be delivered, found, and given up by TensorFlow Serving with a reason (k8s/base)."""
SETTLE_S: Final = 3.0
"""Longer than fronts take to notice a new label (`label_period_s`, 1 s)."""


class ClassifierRollout:
    """One model's labels, on the disk and in every server."""

    def __init__(
        self,
        store: Path,
        name: str,
        file: Path,
        servers: ModelServers,
        *,
        within_s: float = LOAD_WITHIN_S,
        settle_s: float = SETTLE_S,
    ) -> None:
        """Read the config as it is.

        Args:
            store: folder of published models.
            name: of the model.
            file: the models.config to change; the shipped one is where it begins if there is none yet.
            servers: all that serve this model.
            within_s: how long a version may take to be loaded.
            settle_s: given to the fronts where there were no labels before, and they asked for the newest version.

        Raises:
            RolloutError: the config cannot be read.
        """
        self._store, self._name, self._file, self._servers = store, name, file, servers
        self._within_s, self._settle_s = within_s, settle_s
        self._config = configs.read(file if file.exists() else configs.SHIPPED)

    @property
    def labels(self) -> dict[str, int]:
        """The version of each label, as the file has it."""
        return configs.labels(self._config, self._name)

    def shadow(self) -> int:
        """Bring the newest challenger to where it can be asked, beside the version that answers; says its number.

        Raises:
            RolloutError: there is none, it is not whole, or it cannot be loaded; the servers are as they were.
        """
        stable = self._stable()
        folder = newest_challenger(self._store, self._name, stable)
        labels = {label: version for label, version in self.labels.items() if label in {STABLE, CHAMPION, PREVIOUS}}
        labels |= {STABLE: stable, CHAMPION: stable}
        # Pinned first: a version that merely appears in the store must not answer anybody.
        was_labelled = STABLE in self.labels
        self._apply(labels)
        if not was_labelled:
            time.sleep(self._settle_s)
        version = int(folder.name)
        served = self._store / self._name / folder.name
        folder.rename(served)
        try:
            self._apply({**labels, CHALLENGER: version})
        except RolloutError:
            self._put(set(labels.values()), labels)
            served.rename(folder)
            raise
        self._retire_unlabelled()
        return version

    def canary(self) -> int:
        """Let the challenger answer the share of callers that the fronts are set to; says its number.

        Raises:
            RolloutError: there is no challenger, or it is not AVAILABLE.
        """
        version = self._labelled(CHALLENGER, "run `rollout shadow` first")
        self._apply({**self.labels, CANARY: version})
        return version

    def promote(self) -> int:
        """Let the canary answer everybody; the version before stays loaded as `previous`. Says its number.

        Raises:
            RolloutError: there is no canary, or it is not AVAILABLE.
        """
        version = self._labelled(CANARY, "run `rollout canary` first")
        self._apply({STABLE: version, CHAMPION: version, PREVIOUS: self._labelled(STABLE, "")})
        self._retire_unlabelled()
        return version

    def rollback(self, to: int | None = None) -> str:
        """Call back what is under way, or else go back to the version before; says what it did.

        Args:
            to: the version to go back to, where it is not the `previous` one.

        Raises:
            RolloutError: there is nothing to go back to, or that is not AVAILABLE.
        """
        labels = self.labels
        if to is None and (called_back := sorted({CANARY, CHALLENGER} & labels.keys())):
            version = self._labelled(STABLE, "name a version with --to")
            kept = {label: number for label, number in labels.items() if label not in called_back}
            self._apply(kept)
            self._retire_unlabelled()
            return f"{' and '.join(called_back)} called back; {version} answers everybody, as before"
        target = labels.get(PREVIOUS) if to is None else to
        if target is None:
            published = publish.versions(self._store, self._name)
            raise RolloutError(
                f"nothing to roll back to: no rollout of {self._name} is under way and no label says previous "
                f"(published: {', '.join(map(str, published)) or 'none'}); name one with --to"
            )
        if not (self._store / self._name / str(target)).is_dir():
            raise RolloutError(f"{self._name} {target} is not in {self._store}: nothing has changed")
        self._apply({STABLE: target, CHAMPION: target})
        self._retire_unlabelled()
        return f"{target} answers everybody again; {labels.get(STABLE, 'the newest version')} does not any more"

    def _stable(self) -> int:
        labelled = self.labels.get(STABLE)
        stable = self._servers.newest_available() if labelled is None else labelled
        if stable is None:
            raise RolloutError(f"no version of {self._name} answers: there is nothing to challenge")
        return stable

    def _labelled(self, label: str, hint: str) -> int:
        version = self.labels.get(label)
        if version is None:
            raise RolloutError(f"no version of {self._name} is labelled {label}" + (f": {hint}" if hint else ""))
        return version

    def _apply(self, labels: Mapping[str, int]) -> None:
        """Load what will be labelled, then move the labels, then let go of what no label names."""
        wanted = set(labels.values())
        self._put(wanted | set(self.labels.values()) | configs.pinned(self._config, self._name), self.labels)
        self._servers.await_available(wanted, self._within_s)
        self._put(wanted | configs.pinned(self._config, self._name), labels)
        self._put(wanted, labels)

    def _retire_unlabelled(self) -> None:
        """What no label names and is newer than the champion would be the newest to whoever asks without labels."""
        labels = self.labels
        for version in publish.versions(self._store, self._name):
            if version > labels[STABLE] and version not in labels.values():
                retire(self._store, self._name, version)

    def _put(self, versions: set[int], labels: Mapping[str, int]) -> None:
        present = {version for version in versions if (self._store / self._name / str(version)).is_dir()}
        config: Any = configs.edited(self._config, self._name, present, labels)
        if config == self._config and self._file.exists():
            return
        before = self._config
        configs.write(self._file, config)
        try:
            self._servers.reload(config)
        except RolloutError:
            configs.write(self._file, before)
            with contextlib.suppress(RolloutError):
                self._servers.reload(before)
            raise
        self._config = config
