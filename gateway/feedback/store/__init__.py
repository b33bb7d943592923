# SPDX-License-Identifier: GPL-3.0-or-later
"""The store of votes: the one door to SQLAlchemy, Alembic and the databases below them."""
