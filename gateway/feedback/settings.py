# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of the feedback pod: `ORRERY_FEEDBACK_…`."""

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from gateway.serving.environment import File, ListenAddress, Settings
from gateway.serving.settings import PROJECT_ROOT, ServingSettings


class StoreSettings(Settings):
    """Where votes are kept; what the pod and its commands share."""

    model_config = SettingsConfigDict(env_prefix="ORRERY_FEEDBACK_", frozen=True, protected_namespaces=())

    # The embedded store, feedback.sqlite3, and (unless set below) the secret lie in this folder.
    folder: Path = PROJECT_ROOT / "var" / "feedback"
    # "postgresql://user:password@host/database": the store of many pods. It, or a file that holds it; neither: SQLite.
    database_url: SecretStr | None = None
    database_url_file: File | None = None
    # What contributors' tokens are hashed under: 32 characters or more, the same for as long as the store lives. It, or
    # a file that holds it; neither, and the store embedded: made at the first start.
    secret: SecretStr | None = None
    secret_file: File | None = None

    # Bring an older store's tables up to date at the start; else the pod waits until `feedback migrate` has.
    migrate: bool = True
    # The longest the store may take for a statement, and wait for a lock of another process.
    statement_timeout_s: float = Field(default=10.0, gt=0)
    lock_timeout_s: float = Field(default=5.0, gt=0)


class FeedbackSettings(ServingSettings, StoreSettings):
    """Where the pod listens, and how it writes."""

    model_config = SettingsConfigDict(env_prefix="ORRERY_FEEDBACK_", frozen=True, protected_namespaces=())

    address: ListenAddress = "127.0.0.1:50054"
    metrics_address: ListenAddress = "127.0.0.1:9104"

    # Most of them wait for the disk: so many are answered within a second.
    calls_under_way: int = Field(default=512, ge=1)
    # Votes that share one commit, at most; what waits while a commit is under way goes into the next.
    commit_votes: int = Field(default=64, ge=1)
    # Votes that may wait; beyond these a call is refused at once.
    max_waiting: int = Field(default=512, ge=1)
    # What a refused caller is told to wait.
    retry_after_s: float = Field(default=1.0, gt=0)
    # Threads, each with a connection, that read.
    readers: int = Field(default=4, ge=1)
    # How often the store is looked at: health, size; and how soon one that was away is tried again.
    health_period_s: float = Field(default=1.0, gt=0)
