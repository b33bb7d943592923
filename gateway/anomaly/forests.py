# SPDX-License-Identifier: GPL-3.0-or-later
"""The forests being served: the newest published versions, looked for again and again."""

from pathlib import Path

import structlog
from prometheus_client import Counter, Gauge

from gateway.anomaly.scorer import Forest
from gateway.drift import Reference
from gateway.serving.checksums import NotWhole
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
        self._refused: set[int] = set()
        self._waits = False

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
        """Load new versions and let old ones go. A version that cannot be served is refused once and said so."""
        published = self._published()
        if not published and not self._waits:
            self._waits = True
            log.warning("no forest is published yet, waiting for one", folder=str(self._folder))
        wanted = sorted(set(published) - self._refused)[-self._kept :]
        loaded = {version: forest for version, forest in self._loaded.items() if version in wanted}
        for version in wanted:
            if version in loaded:
                continue
            try:
                loaded[version] = Forest(self._folder / str(version))
            except (NotWhole, OSError, ValueError, KeyError) as error:
                self._refused.add(version)
                REFUSED_VERSIONS.inc()
                log.warning("forest refused", version=version, reason=str(error))
                # What was there before serves on.
                loaded = {**self._loaded, **loaded}
            else:
                log.info("forest loaded", version=version)
        self._loaded = loaded
        if loaded:
            SERVED_VERSION.set(max(loaded))

    def _published(self) -> list[int]:
        if not self._folder.is_dir():
            return []
        return [int(entry.name) for entry in self._folder.iterdir() if entry.name.isdecimal() and entry.is_dir()]
