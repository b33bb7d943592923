# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked of a simulation and what it answers, free of any transport; everything here can be pickled.

States are heliocentric ecliptic J2000, au and au/d; times are days of TDB since J2000.0 (`time_d`).
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from gateway.simulation.bodies import Body
from gateway.simulation.encounters import Approach
from gateway.simulation.entry import Entry
from gateway.simulation.nbody import Forces

Floats = NDArray[np.float64]


class Branch(enum.IntEnum):
    """The object as it is, and as the changes make it; the numbers are those of the public contract."""

    BASELINE = 1
    CHANGED = 2


class Sampling(enum.IntEnum):
    """How the points of a trajectory are spread; the numbers are those of the public contract."""

    EVEN = 1
    ADAPTIVE = 2


class PushAxes(enum.Enum):
    """Along what a velocity change is given."""

    # Away from the Sun, in the direction of motion at right angles to that, along the angular momentum.
    RADIAL_TRANSVERSE_NORMAL = enum.auto()
    ECLIPTIC = enum.auto()


@dataclass(frozen=True, slots=True)
class Push:
    """A velocity change at an instant.

    Forwards in time it is added; backwards it is taken away, for then the object is known after it. Radial, transverse
    and normal are those of the state that the integration arrives with.
    """

    time_d: float
    delta_v_km_s: tuple[float, float, float]
    axes: PushAxes


@dataclass(frozen=True, slots=True, eq=False)
class Scenario:
    """A what-if.

    Attributes:
        epoch_d: where both branches start.
        baseline_state: (6,) the object as it is.
        changed_state: (6,) as its changed elements make it; None where nothing at all is changed.
        pushes: within the scenario, in any order.
        duration_d: negative runs backwards.
        forces: what acts on the object.
        limits_au: bodies whose approaches are reported, and up to which distance.
        trajectory_points: of each branch, 0 or at least 2.
        sampling: how they are spread.
        check_round_trip: integrate back and report the miss.
        notes: what the reader of the question already has to say.
    """

    epoch_d: float
    baseline_state: Floats
    changed_state: Floats | None
    pushes: tuple[Push, ...]
    duration_d: float
    forces: Forces
    limits_au: Mapping[Body, float]
    trajectory_points: int = 0
    sampling: Sampling = Sampling.EVEN
    check_round_trip: bool = False
    notes: tuple[str, ...] = ()

    @property
    def end_d(self) -> float:
        """Where both branches end."""
        return self.epoch_d + self.duration_d

    @property
    def branches(self) -> tuple[Branch, ...]:
        """What has to be followed."""
        return (Branch.BASELINE,) if self.changed_state is None else (Branch.BASELINE, Branch.CHANGED)


@dataclass(frozen=True, slots=True)
class ProgressReport:
    """How far the whole work is, 0 to 1."""

    fraction_done: float
    branch: Branch
    time_d: float


@dataclass(frozen=True, slots=True, eq=False)
class TrajectoryPiece:
    """Some points of a branch: (N,) times and (N, 3) positions."""

    branch: Branch
    time_d: Floats
    positions_au: Floats


@dataclass(frozen=True, slots=True)
class Sighting:
    """A close approach as soon as it is found, with the entry into Earth's atmosphere that it brings."""

    branch: Branch
    approach: Approach
    entry: Entry | None = None


Update: TypeAlias = ProgressReport | TrajectoryPiece | Sighting


@dataclass(frozen=True, slots=True, eq=False)
class BranchOutcome:
    """How one branch went.

    Attributes:
        approaches: in the order of the integration.
        entries: of each approach, into Earth's atmosphere; None where there is none.
        approaches_left_out: how many more there were than are kept.
        final_d: where it ended: the end, or the impact.
        final_state: (6,); None after an impact.
        after_changes: (6,) states by time: at the epoch, and at each later change's time that the branch has reached;
            after the change on the changed branch, at the same time on the baseline.
        round_trip_error_km: None where it was not asked for, or the way ended in an impact.
        warnings: what the integrator had to say.
    """

    approaches: tuple[Approach, ...]
    entries: tuple[Entry | None, ...]
    approaches_left_out: int
    final_d: float
    final_state: Floats | None
    after_changes: Mapping[float, Floats]
    round_trip_error_km: float | None
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """The answer.

    Attributes:
        branches: baseline, and changed where something was.
        earth_moid_au: of each branch at `moid_d`; absent where it has none.
        moid_d: the time of the last change that both branches have reached; the epoch where there is none.
        integrator: by name and version.
        force_model: in words.
        ephemeris: in words.
        notes: what to keep in mind.
    """

    branches: Mapping[Branch, BranchOutcome]
    earth_moid_au: Mapping[Branch, float]
    moid_d: float
    integrator: str
    force_model: str
    ephemeris: str
    notes: tuple[str, ...]
