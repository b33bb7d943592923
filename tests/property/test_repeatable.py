# SPDX-License-Identifier: GPL-3.0-or-later
"""What `make test` draws it draws alike in every run: only `make test-random` asks for other examples."""

from pathlib import Path

import pytest
from hypothesis import settings

from tests.example_counts import one_in
from tests.pods import PROJECT_ROOT

FILES = sorted((PROJECT_ROOT / "tests").rglob("*.py"))


def test_the_profile_draws_the_same_examples(request):
    random = request.config.getoption("--hypothesis-profile") == "random"
    for chosen in (settings(), one_in(5)):
        assert chosen.derandomize is not random
        assert (chosen.database is None) is not random
    assert one_in(5).max_examples == settings().max_examples / 5


@pytest.mark.parametrize("drawn", ["@settings(", "default_rng()", "Random()", "urandom("])
def test_no_test_draws_by_its_own_rules(drawn):
    assert [path.name for path in FILES if drawn in path.read_text("utf-8") and path != Path(__file__)] == []
