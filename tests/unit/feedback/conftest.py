# SPDX-License-Identifier: GPL-3.0-or-later
"""Stores for tests, in SQLite and in PostgreSQL."""

import secrets

import pytest

from gateway.feedback.settings import StoreSettings
from gateway.feedback.store.store import Store
from tests import postgres


@pytest.fixture(params=postgres.STORES)
def settings(request, tmp_path):
    """Of an empty store; a test that asks for it runs with both databases."""
    where = {"folder": tmp_path / "store", "secret": secrets.token_hex(32)}
    if request.param == "postgresql":
        where["database_url"] = request.getfixturevalue("cluster").fresh_url()
    return StoreSettings(**where)


@pytest.fixture
def store(settings):
    with Store(settings) as opened:
        opened.open()
        yield opened
