# SPDX-License-Identifier: GPL-3.0-or-later
"""One look: the newest published versions that are not in the store yet are fetched, checked and renamed into place.

A server that polls the store therefore sees a whole version or none. A version that is not whole is refused, which is
said once, and looked at again each time: it may still be on its way. What was there before is served on.
"""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from prometheus_client import Counter, Gauge

from gateway.delivery.published import Published
from gateway.delivery.settings import DeliverySettings
from gateway.delivery.signature import SIGNATURE_FILE, check_signature, load_key
from gateway.serving.checksums import SUMS_FILE, NotWhole, check_sums, read_sums
from gateway.serving.settings import MIB

DELIVERED_VERSION = Gauge("orrery_delivery_version", "The newest version in the store.", ["model"])
REFUSED = Counter("orrery_delivery_refused_total", "Published versions that were not whole.", ["model"])
LOOKED = Gauge("orrery_delivery_looked_timestamp_seconds", "When the source was last read to the end.")

# One more than a server holds (models.config: two), so that none is removed while it is being served.
KEEP_VERSIONS: Final = 3
# No file of a model is larger.
MAX_FILE_BYTES: Final = 1024 * MIB

_STAGING = ".staging-"

log = structlog.get_logger()


class Carrier:
    """Carries versions from where they are published to where they are served."""

    def __init__(
        self,
        settings: DeliverySettings,
        *,
        keep_versions: int = KEEP_VERSIONS,
        max_file_bytes: int = MAX_FILE_BYTES,
    ) -> None:
        """Open the source.

        Args:
            settings: where from, where to, and which models.
            keep_versions: of each model, the newest.
            max_file_bytes: larger files are refused.

        Raises:
            SourceUnavailable: there is none.
            OSError: the key cannot be read.
            ValueError: it is no key.
        """
        self._settings = settings
        self._keep_versions = keep_versions
        self._key: Ed25519PublicKey | None = load_key(settings.public_key_file) if settings.public_key_file else None
        self._published = Published(settings.source, max_file_bytes)
        for model in settings.models:
            # From the start on, so that the first refusal is an increase.
            REFUSED.labels(model)
        # By folder: the sums of what was refused and said so.
        self._refused: dict[str, bytes] = {}

    def look(self) -> None:
        """Fetch what is new of every model, and remove what is too old or was called back.

        Raises:
            SourceUnavailable: the source cannot be read.
            OSError: the store cannot be written.
        """
        for model in self._settings.models:
            folder = self._settings.model_store / model
            folder.mkdir(parents=True, exist_ok=True)
            _sweep(folder)
            here = set(_versions(folder))
            wanted = self._keep_versions
            published = self._published.versions(model)
            for version in published:
                if wanted == 0:
                    break
                if version in here or self._fetch(model, version):
                    here.add(version)
                    wanted -= 1
            # Newer than all that is published: it was called back there, and must not answer here either.
            called_back = {version for version in here if published and version > max(published)}
            here -= called_back
            for version in (*called_back, *sorted(here, reverse=True)[self._keep_versions :]):
                _remove(folder / str(version))
            if here:
                DELIVERED_VERSION.labels(model).set(max(here))
        LOOKED.set_to_current_time()

    def missing(self) -> list[str]:
        """Models of which the store has no version."""
        return [name for name in self._settings.models if not _versions(self._settings.model_store / name)]

    def _fetch(self, model: str, version: int) -> bool:
        """Whether a version could be brought."""
        name = f"{model}/{version}"
        sums = b""
        try:
            sums = self._published.read(f"{name}/{SUMS_FILE}")
            if self._key is not None:
                check_signature(self._key, sums, self._published.read(f"{name}/{SIGNATURE_FILE}"), name)
            self._bring(name, sums)
        except NotWhole as error:
            if self._refused.get(name) != sums:
                REFUSED.labels(model).inc()
                log.warning("version refused", model=model, version=version, reason=str(error))
            self._refused[name] = sums
            return False
        log.info("version delivered", model=model, version=version)
        return True

    def _bring(self, name: str, sums: bytes) -> None:
        target = self._settings.model_store / name
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=_STAGING, ignore_cleanup_errors=True) as staging:
            whole = Path(staging) / target.name
            whole.mkdir()
            for file in read_sums(sums, name):
                self._published.download(f"{name}/{file}", whole / file)
            (whole / SUMS_FILE).write_bytes(sums)
            check_sums(whole)
            whole.rename(target)


def _versions(folder: Path) -> list[int]:
    if not folder.is_dir():
        return []
    return [int(entry.name) for entry in folder.iterdir() if entry.name.isdecimal() and entry.is_dir()]


def _remove(version: Path) -> None:
    """Out of sight at once, then gone."""
    aside = version.with_name(f"{_STAGING}old-{version.name}")
    version.rename(aside)
    shutil.rmtree(aside)
    log.info("version removed", model=version.parent.name, version=int(version.name))


def _sweep(folder: Path) -> None:
    """What a carrier left that was killed; there is one a store."""
    for entry in os.scandir(folder):
        if entry.name.startswith(_STAGING):
            shutil.rmtree(entry.path, ignore_errors=True)
