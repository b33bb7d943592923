# SPDX-License-Identifier: GPL-3.0-or-later
"""A backup of the feedback store and of the model store as one folder, and the way back.

    MANIFEST.json    what is in it, of which moment
    database         SQLite's file, or pg_dump's
    models/          the model store, each version as it was published
    SHA256SUMS       of all of it

The secret is not in it: who has the backup alone cannot find a contributor in it. Keep the secret elsewhere; without it
a restored store finds nobody again.
"""

import hashlib
import json
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from gateway.feedback.store import migrating
from gateway.feedback.store.copies import NotRestored, copy_in, copy_out
from gateway.feedback.store.database import Database
from gateway.serving.checksums import SUMS_FILE, check_sums

FORMAT: Final = 1
MANIFEST_FILE: Final = "MANIFEST.json"
DATABASE_FILE: Final = "database"
MODELS_FOLDER: Final = "models"


def back_up(database: Database, model_store: Path, folder: Path) -> dict[str, Any]:
    """Write a backup whole, or not at all.

    Args:
        database: of the feedback store; pods may go on writing.
        model_store: where models are published; may not exist yet.
        folder: to be made.

    Returns:
        The manifest.

    Raises:
        FileExistsError: the folder is there already.
        NotWhole: a model version is not what was published.
        Others as `copies.copy_out`.
    """
    if folder.exists():
        raise FileExistsError(f"{folder} is there already")
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(mode=0o700)
    try:
        rows = copy_out(database, beside / DATABASE_FILE)
        with database.reading() as connection:
            revision = migrating.current(connection)
        versions = _copy_models(model_store, beside / MODELS_FOLDER)
        manifest = {
            "format": FORMAT,
            "created_utc": datetime.now(UTC).isoformat(timespec="seconds"),
            "database": database.url.get_backend_name(),
            "revision": revision,
            "rows": rows,
            "model_versions": versions,
        }
        (beside / MANIFEST_FILE).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
        _write_sums(beside)
        beside.rename(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return manifest


def restore(database: Database, model_store: Path, folder: Path, *, force: bool) -> dict[str, Any]:
    """Put a backup in place; no pod may be running.

    Args:
        database: empty, or to be replaced.
        model_store: empty or absent, or to be replaced.
        folder: the backup.
        force: whether what is there may be replaced.

    Returns:
        The manifest, with `erased_again`: contributors that were erased since the backup and now again.

    Raises:
        NotRestored: something is there already, or the backup does not fit.
        NotWhole: it is not what was written.
        Others as `copies.copy_in`.
    """
    check_sums(folder)
    manifest: dict[str, Any] = json.loads((folder / MANIFEST_FILE).read_text(encoding="utf-8"))
    if manifest["format"] != FORMAT or manifest["revision"] not in migrating.revisions():
        raise NotRestored("the backup is of another version of this program")
    if manifest["database"] != database.url.get_backend_name():
        raise NotRestored(f"the backup is of {manifest['database']}, the store is {database.url.get_backend_name()}")
    if not force and model_store.is_dir() and any(model_store.iterdir()):
        raise NotRestored(f"there are models in {model_store} already")
    beside = model_store.with_name(f".{model_store.name}.{os.getpid()}")
    shutil.rmtree(beside, ignore_errors=True)
    beside.parent.mkdir(parents=True, exist_ok=True)
    try:
        if _copy_models(folder / MODELS_FOLDER, beside) != manifest["model_versions"]:
            raise NotRestored("the models are not those of the manifest")
        again = copy_in(database, folder / DATABASE_FILE, manifest["rows"], replace=force)
        _swap(beside, model_store)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return {**manifest, "erased_again": again}


def _copy_models(source: Path, target: Path) -> list[str]:
    """Copy a model store, what is hidden (half-written versions) left out.

    Returns:
        The versions in it, "name/version"; of challengers and retired ones with the folder before.
    """
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns(".*"), symlinks=True)
    else:
        target.mkdir(parents=True)
    sums = sorted(target.rglob(SUMS_FILE))
    for one in sums:
        check_sums(one.parent)
    return [str(one.parent.relative_to(target)) for one in sums]


def _write_sums(folder: Path) -> None:
    lines = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
                os.fsync(file.fileno())
            lines.append(f"{digest}  {path.relative_to(folder)}\n")
    (folder / SUMS_FILE).write_text("".join(lines), encoding="utf-8")


def _swap(fresh: Path, place: Path) -> None:
    old = place.with_name(f".{place.name}.replaced.{os.getpid()}")
    if place.exists():
        place.rename(old)
    fresh.rename(place)
    shutil.rmtree(old, ignore_errors=True)
