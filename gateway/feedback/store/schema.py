# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables, for SQLite and PostgreSQL alike; `migrations/` brings older ones here, and a test compares the two.

Times are microseconds since 1970 (UTC) by the store's clock. They say when, never in what order: vote_id does.
"""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
)

metadata: Final = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    }
)

_BIG = BigInteger().with_variant(Integer(), "sqlite")

# What the store must remember about itself, such as a check of the secret.
facts: Final = Table(
    "facts",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", LargeBinary, nullable=False),
)

# The keys of contributors, found by a hash of the token (gateway/feedback/pseudonyms.py). Nothing in this table or the
# next says which row belongs to which; in SQLite not even their order on disk.
contributor_keys: Final = Table(
    "contributor_keys",
    metadata,
    Column("lookup", LargeBinary(32), primary_key=True),
    Column("salt", LargeBinary(32), nullable=False),
    sqlite_with_rowid=False,
)

contributors: Final = Table(
    "contributors",
    metadata,
    Column("pseudonym", LargeBinary(32), primary_key=True),
    Column("first_seen_unix_us", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

votes: Final = Table(
    "votes",
    metadata,
    Column("vote_id", _BIG, primary_key=True, autoincrement=True),
    Column("request_id", String(64), nullable=False, unique=True),
    Column("receipt_id", String(36), nullable=False),
    # None: anonymous.
    Column("pseudonym", LargeBinary(32), ForeignKey("contributors.pseudonym")),
    Column("designation", String(64), nullable=False),
    Column("question", SmallInteger, nullable=False),
    Column("label", SmallInteger, nullable=False),
    Column("shown_name", String(64)),
    Column("shown_version", BigInteger),
    Column("shown_label", String(64)),
    Column("shown_variant", String(64)),
    Column("received_unix_us", BigInteger, nullable=False),
    # A contributor's first vote on this object and question, or an anonymous one.
    Column("counted", Boolean, nullable=False),
    CheckConstraint("question > 0 AND label > 0", name="answered"),
    # Ids are never used again, though rows are erased.
    sqlite_autoincrement=True,
)
Index("ix_votes_pseudonym", votes.c.pseudonym, votes.c.vote_id)
_COUNTED_BY_NAME: Final = votes.c.counted & votes.c.pseudonym.is_not(None)
Index(
    "uq_votes_first",
    votes.c.designation,
    votes.c.question,
    votes.c.pseudonym,
    unique=True,
    sqlite_where=_COUNTED_BY_NAME,
    postgresql_where=_COUNTED_BY_NAME,
)
Index(
    "ix_votes_anonymous",
    votes.c.designation,
    votes.c.question,
    votes.c.label,
    sqlite_where=votes.c.pseudonym.is_(None),
    postgresql_where=votes.c.pseudonym.is_(None),
)

# Objects whose answer is known, which contributors are not told; and how many identified first votes were right.
gold: Final = Table(
    "gold",
    metadata,
    Column("designation", String(64), primary_key=True),
    Column("question", SmallInteger, primary_key=True),
    Column("label", SmallInteger, nullable=False),
    Column("right_votes", BigInteger, nullable=False),
    Column("wrong_votes", BigInteger, nullable=False),
    # Where the answer is from: "exact rule", ...
    Column("source", String(64), nullable=False),
)

# What is left of an erased contributor: a number that nothing leads to any more.
erasures: Final = Table(
    "erasures",
    metadata,
    Column("pseudonym", LargeBinary(32), primary_key=True),
    # A hash of the request that asked for it, so that its repetition gets the same answer.
    Column("request", LargeBinary(32), nullable=False, unique=True),
    Column("erased_unix_us", BigInteger, nullable=False),
    Column("erased_votes", BigInteger, nullable=False),
    Column("recomputed_consensus", BigInteger, nullable=False),
    # A JSON list of pairs of name and version.
    Column("trained_models", Text, nullable=False),
)

# Experts' verdicts, which go before consensus.
verdicts: Final = Table(
    "verdicts",
    metadata,
    Column("designation", String(64), primary_key=True),
    Column("question", SmallInteger, primary_key=True),
    Column("label", SmallInteger, nullable=False),
    Column("decided_unix_us", BigInteger, nullable=False),
)

# Runs that took consensus out, in order.
extractions: Final = Table(
    "extractions",
    metadata,
    Column("sequence", _BIG, primary_key=True, autoincrement=True),
    Column("run_id", String(64), nullable=False, unique=True),
    Column("extracted_unix_us", BigInteger, nullable=False),
    Column("rule", String(64), nullable=False),
    sqlite_autoincrement=True,
)

# What a run found changed since the run before: an object, a question, and what had become of them.
extraction_rows: Final = Table(
    "extraction_rows",
    metadata,
    Column("sequence", _BIG, ForeignKey("extractions.sequence"), primary_key=True, autoincrement=False),
    Column("designation", String(64), primary_key=True),
    Column("question", SmallInteger, primary_key=True),
    Column("status", SmallInteger, nullable=False),
    # 0 where nothing is decided any more.
    Column("label", SmallInteger, nullable=False),
    Column("votes", Integer, nullable=False),
    Column("anonymous_votes", BigInteger, nullable=False),
    # Of the label, in thousandths.
    Column("share_per_mille", SmallInteger, nullable=False),
)
Index("ix_extraction_rows_object", extraction_rows.c.designation, extraction_rows.c.question)

# The votes behind each such row.
extraction_votes: Final = Table(
    "extraction_votes",
    metadata,
    Column("vote_id", _BIG, ForeignKey("votes.vote_id"), primary_key=True, autoincrement=False),
    Column("sequence", _BIG, primary_key=True, autoincrement=False),
    Column("designation", String(64), nullable=False),
    Column("question", SmallInteger, nullable=False),
    ForeignKeyConstraint(
        ["sequence", "designation", "question"],
        ["extraction_rows.sequence", "extraction_rows.designation", "extraction_rows.question"],
    ),
)

# The model versions that were trained on a run's consensus.
trained_models: Final = Table(
    "trained_models",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("version", BigInteger, primary_key=True),
    Column("sequence", _BIG, ForeignKey("extractions.sequence"), nullable=False),
    Column("recorded_unix_us", BigInteger, nullable=False),
)
