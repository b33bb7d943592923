# SPDX-License-Identifier: GPL-3.0-or-later
"""Votes, contributors, gold and erasures."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "facts",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("value", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_facts"),
    )
    op.create_table(
        "contributor_keys",
        sa.Column("lookup", sa.LargeBinary(32), nullable=False),
        sa.Column("salt", sa.LargeBinary(32), nullable=False),
        sa.PrimaryKeyConstraint("lookup", name="pk_contributor_keys"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "contributors",
        sa.Column("pseudonym", sa.LargeBinary(32), nullable=False),
        sa.Column("first_seen_unix_us", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("pseudonym", name="pk_contributors"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "votes",
        sa.Column("vote_id", _BIG, autoincrement=True, nullable=False),
        sa.Column("request_id", sa.String(64), nullable=False),
        sa.Column("receipt_id", sa.String(36), nullable=False),
        sa.Column("pseudonym", sa.LargeBinary(32)),
        sa.Column("designation", sa.String(64), nullable=False),
        sa.Column("question", sa.SmallInteger, nullable=False),
        sa.Column("label", sa.SmallInteger, nullable=False),
        sa.Column("shown_name", sa.String(64)),
        sa.Column("shown_version", sa.BigInteger),
        sa.Column("shown_label", sa.String(64)),
        sa.Column("shown_variant", sa.String(64)),
        sa.Column("received_unix_us", sa.BigInteger, nullable=False),
        sa.Column("counted", sa.Boolean, nullable=False),
        sa.CheckConstraint("question > 0 AND label > 0", name="ck_votes_answered"),
        sa.ForeignKeyConstraint(["pseudonym"], ["contributors.pseudonym"], name="fk_votes_pseudonym"),
        sa.PrimaryKeyConstraint("vote_id", name="pk_votes"),
        sa.UniqueConstraint("request_id", name="uq_votes_request_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_votes_pseudonym", "votes", ["pseudonym", "vote_id"])
    op.create_index(
        "uq_votes_first",
        "votes",
        ["designation", "question", "pseudonym"],
        unique=True,
        sqlite_where=sa.text("counted = 1 AND pseudonym IS NOT NULL"),
        postgresql_where=sa.text("counted AND pseudonym IS NOT NULL"),
    )
    op.create_index(
        "ix_votes_anonymous",
        "votes",
        ["designation", "question", "label"],
        sqlite_where=sa.text("pseudonym IS NULL"),
        postgresql_where=sa.text("pseudonym IS NULL"),
    )
    op.create_table(
        "gold",
        sa.Column("designation", sa.String(64), nullable=False),
        sa.Column("question", sa.SmallInteger, nullable=False),
        sa.Column("label", sa.SmallInteger, nullable=False),
        sa.Column("right_votes", sa.BigInteger, nullable=False),
        sa.Column("wrong_votes", sa.BigInteger, nullable=False),
        sa.Column("source", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("designation", "question", name="pk_gold"),
    )
    op.create_table(
        "erasures",
        sa.Column("pseudonym", sa.LargeBinary(32), nullable=False),
        sa.Column("request", sa.LargeBinary(32), nullable=False),
        sa.Column("erased_unix_us", sa.BigInteger, nullable=False),
        sa.Column("erased_votes", sa.BigInteger, nullable=False),
        sa.Column("recomputed_consensus", sa.BigInteger, nullable=False),
        sa.Column("trained_models", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("pseudonym", name="pk_erasures"),
        sa.UniqueConstraint("request", name="uq_erasures_request"),
    )
