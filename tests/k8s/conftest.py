# SPDX-License-Identifier: GPL-3.0-or-later
"""Each overlay is rendered once."""

import copy

import pytest

from tests.k8s import manifests


@pytest.fixture(scope="session")
def rendered():
    if manifests.kubectl() is None:
        pytest.skip("no kubectl: make k8s-tools brings one")
    return {name: manifests.render(manifests.K8S / "overlays" / name) for name in manifests.OVERLAYS}


@pytest.fixture(params=manifests.OVERLAYS)
def documents(request, rendered):
    return rendered[request.param]


@pytest.fixture
def production(rendered):
    """A copy to break."""
    return copy.deepcopy(rendered["production"])
