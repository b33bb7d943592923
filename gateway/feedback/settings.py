# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of the feedback pod: `ORRERY_FEEDBACK_…`."""

from pathlib import Path
from typing import Final

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from gateway.serving.environment import File, ListenAddress, Settings
from gateway.serving.settings import PROJECT_ROOT, ModelStoreSettings, ServingSettings, TransportSettings


class StoreSettings(Settings):
    """Where votes are kept; what the pod and its commands share."""

    model_config = SettingsConfigDict(env_prefix="ORRERY_FEEDBACK_", frozen=True, protected_namespaces=())

    folder: Path = Field(
        default=PROJECT_ROOT / "var" / "feedback",
        description="The folder of the embedded store, feedback.sqlite3, and of its secret where none is set.",
    )
    database_url: SecretStr | None = Field(
        default=None,
        description="The store that several pods share, `postgresql://user:password@host/database`. Unset: SQLite.",
        json_schema_extra={"unit": "URL"},
    )
    database_url_file: File | None = Field(default=None, description="A file that holds this URL.")
    secret: SecretStr | None = Field(
        default=None,
        description="What contributors' tokens are hashed under: 32 characters or more, the same as long as the store"
        " lives. Unset with the embedded store: made at the first start.",
        json_schema_extra={"unit": "text"},
    )
    secret_file: File | None = Field(default=None, description="A file that holds this secret.")
    migrate: bool = Field(
        default=True,
        description="Bring an older store's tables up to date at the start. False: wait until `feedback migrate` has.",
    )
    database_wait_s: float = Field(
        default=0.0,
        ge=0,
        description="How long a command (`feedback extract`, `move`, …) waits for a database that does not answer yet.",
    )
    statement_timeout_s: float = Field(
        default=10.0, gt=0, description="The longest the database may take for a statement."
    )
    lock_timeout_s: float = Field(
        default=5.0, gt=0, description="The longest a statement may wait for a lock of another process."
    )


class FeedbackSettings(StoreSettings, ServingSettings):
    """Where the pod listens, and how it reads."""

    model_config = SettingsConfigDict(env_prefix="ORRERY_FEEDBACK_", frozen=True, protected_namespaces=())

    address: ListenAddress = "127.0.0.1:50054"
    metrics_address: ListenAddress = "127.0.0.1:9104"

    # Most of them wait for the disk: so many are answered within a second.
    calls_under_way: int = Field(default=512, ge=1)
    readers: int = Field(
        default=4,
        ge=1,
        description="Threads that read, each with a connection to the database.",
        json_schema_extra={"unit": "threads"},
    )


SETTINGS: Final = (FeedbackSettings, StoreSettings, ModelStoreSettings, TransportSettings)
