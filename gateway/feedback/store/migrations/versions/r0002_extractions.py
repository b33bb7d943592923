# SPDX-License-Identifier: GPL-3.0-or-later
"""Extractions for training, and experts' verdicts."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "verdicts",
        sa.Column("designation", sa.String(64), nullable=False),
        sa.Column("question", sa.SmallInteger, nullable=False),
        sa.Column("label", sa.SmallInteger, nullable=False),
        sa.Column("decided_unix_us", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("designation", "question", name="pk_verdicts"),
    )
    op.create_table(
        "extractions",
        sa.Column("sequence", _BIG, autoincrement=True, nullable=False),
        sa.Column("run_id", sa.String(64), nullable=False),
        sa.Column("extracted_unix_us", sa.BigInteger, nullable=False),
        sa.Column("rule", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name="pk_extractions"),
        sa.UniqueConstraint("run_id", name="uq_extractions_run_id"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "extraction_rows",
        sa.Column("sequence", _BIG, autoincrement=False, nullable=False),
        sa.Column("designation", sa.String(64), nullable=False),
        sa.Column("question", sa.SmallInteger, nullable=False),
        sa.Column("status", sa.SmallInteger, nullable=False),
        sa.Column("label", sa.SmallInteger, nullable=False),
        sa.Column("votes", sa.Integer, nullable=False),
        sa.Column("anonymous_votes", sa.BigInteger, nullable=False),
        sa.Column("share_per_mille", sa.SmallInteger, nullable=False),
        sa.ForeignKeyConstraint(["sequence"], ["extractions.sequence"], name="fk_extraction_rows_sequence"),
        sa.PrimaryKeyConstraint("sequence", "designation", "question", name="pk_extraction_rows"),
    )
    op.create_index("ix_extraction_rows_object", "extraction_rows", ["designation", "question"])
    op.create_table(
        "extraction_votes",
        sa.Column("vote_id", _BIG, autoincrement=False, nullable=False),
        sa.Column("sequence", _BIG, autoincrement=False, nullable=False),
        sa.Column("designation", sa.String(64), nullable=False),
        sa.Column("question", sa.SmallInteger, nullable=False),
        sa.ForeignKeyConstraint(
            ["sequence", "designation", "question"],
            ["extraction_rows.sequence", "extraction_rows.designation", "extraction_rows.question"],
            name="fk_extraction_votes_sequence_designation_question",
        ),
        sa.ForeignKeyConstraint(["vote_id"], ["votes.vote_id"], name="fk_extraction_votes_vote_id"),
        sa.PrimaryKeyConstraint("vote_id", "sequence", name="pk_extraction_votes"),
    )
    op.create_table(
        "trained_models",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("sequence", _BIG, nullable=False),
        sa.Column("recorded_unix_us", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(["sequence"], ["extractions.sequence"], name="fk_trained_models_sequence"),
        sa.PrimaryKeyConstraint("name", "version", name="pk_trained_models"),
    )
