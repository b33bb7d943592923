# SPDX-License-Identifier: GPL-3.0-or-later
"""The forests being served: the newest published versions, looked for again and again."""

from pathlib import Path

import structlog
from prometheus_client import Counter, Gauge

from gateway.anomaly.scorer import Forest, Unusable
from gateway.drift import Reference
from gateway.serving.checksums import NotWhole, fingerprint
from gateway.serving.errors import BackendUnavailable, ModelNotFound
from orrery.inference import v1

log = structlog.get_logger()

SERVED_VERSION = Gauge("orrery_anomaly_model_version", "The newest forest being served.")
REFUSED_VERSIONS = Counter("orrery_anomaly_model_refused_total", "Published forests that could not be served.")


class Forests:
    """Loaded versions, newest last. `refresh` runs in a thread; the rest reads one dict that is replaced whole."""

    def __init__(self, folder: Path, kept_versions: int) -> None:
        """Nothing is loaded yet.

        Args:
            folder: `<store>/<name>/`.
            kept_versions: how many of the newest stay loaded.
        """
        self._folder = folder
        self._kept = kept_versions
        self._loaded: dict[int, Forest] = {}
        # As the folder was when it was refused.
        self._refused: dict[int, frozenset[tuple[str, int, int]]] = {}
        self._has_complained = False

    @property
    def ready(self) -> bool:
        """Whether any version can answer."""
        return bool(self._loaded)

    async def reference_of(self, version: int) -> Reference | None:
        """What a loaded version learnt from, for drift; None where it is gone or says nothing of it."""
        forest = self._loaded.get(version)
        return None if forest is None else forest.reference

    def choose(self, selector: v1.ModelSelector) -> Forest:
        """The forest that a request asks for; the newest unless it asks.

        Raises:
            ModelNotFound: the version is not loaded, or a label was asked for (forests have none).
            BackendUnavailable: nothing is loaded yet.
        """
        loaded = self._loaded
        match selector.WhichOneof("choice"):
            case "version":
                if selector.version not in loaded:
                    raise ModelNotFound("model.version", f"version {selector.version} is not being served")
                return loaded[selector.version]
            case "version_label":
                label = selector.version_label
                raise ModelNotFound("model.version_label", f"{label!r} is no label being served")
        if not loaded:
            raise BackendUnavailable("anomaly model")
        return loaded[max(loaded)]

    def refresh(self) -> None:
        """Load new versions and let old ones go; whatever the folder holds, never raises.

        The newest versions that can be served are. One that cannot is refused and said so, once, and is looked at again
        when a file of it changes: it may have been copied by halves. Where none can be served, those loaded stay.
        """
        newest: dict[int, Forest] = {}
        folders = self._published()
        for version in sorted(folders, reverse=True):
            forest = self._loaded.get(version) or self._load(folders[version], version)
            if forest is not None:
                newest[version] = forest
            if len(newest) == self._kept:
                break
        self._refused = {version: seen for version, seen in self._refused.items() if version in folders}
        if newest:
            self._loaded = newest
            self._has_complained = False
            SERVED_VERSION.set(max(newest))
        elif not self._has_complained:
            self._has_complained = True
            instead = "those loaded serve on" if self._loaded else "waiting for one"
            log.warning("no forest in the store can be served", instead=instead, folder=str(self._folder))

    def _load(self, folder: Path, version: int) -> Forest | None:
        seen = fingerprint(folder)
        if self._refused.get(version) == seen:
            return None
        try:
            forest = Forest(folder)
        except (NotWhole, Unusable, OSError) as error:
            self._refused[version] = seen
            REFUSED_VERSIONS.inc()
            log.warning("forest refused", version=version, reason=str(error))
            return None
        log.info("forest loaded", version=version)
        return forest

    def _published(self) -> dict[int, Path]:
        try:
            return {int(entry.name): entry for entry in self._folder.iterdir() if _is_version(entry)}
        except OSError:
            return {}


def _is_version(entry: Path) -> bool:
    name = entry.name
    return name.isascii() and name.isdecimal() and name == str(int(name)) and int(name) < 2**63 and entry.is_dir()
