# SPDX-License-Identifier: GPL-3.0-or-later
class SwarmForces:
    def __init__(
        self,
        *,
        time_at: int,
        particles_at: int,
        stride: int,
        count: int,
        ephem_at: int,
        cache_at: int,
        bodies: int,
        flags_at: int,
        all_flags: int,
        relativity: bool,
        oblateness: bool,
        sun_j2: float,
        sun_radius_au: float,
        c2: float,
        find_at: int,
        others_at: int,
    ) -> None: ...
    @property
    def address(self) -> int: ...

def attach(extras_offset: int, own_offset: int) -> int: ...
