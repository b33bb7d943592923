# SPDX-License-Identifier: GPL-3.0-or-later
import pytest

from gateway.simulation.settings import ASTEROID_KERNEL
from tests.real_data import encounters


@pytest.fixture(scope="session")
def cases():
    """Real encounters with what is known of them, by name."""
    return encounters()


@pytest.fixture(params=["no asteroids", pytest.param("asteroids", marks=pytest.mark.long)])
def kernel(request):
    """The kernel of the asteroids, or None."""
    if request.param == "no asteroids":
        return None
    if not ASTEROID_KERNEL.exists():
        pytest.skip(f"no asteroid kernel at {ASTEROID_KERNEL}: make asteroid-kernel")
    return ASTEROID_KERNEL
