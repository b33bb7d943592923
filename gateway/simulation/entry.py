# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a path that comes down on Earth crosses an altitude of 100 km, on the integrator's own polynomials."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.neo.units import AU_KM, DAY_S
from gateway.simulation import ephemeris
from gateway.simulation.bodies import Body
from gateway.simulation.earth_orientation import air_velocity_km_s, east_north_up, geodetic, orientation
from gateway.simulation.encounters import Approach, find_root
from gateway.simulation.steps import Steps, join

Floats = NDArray[np.float64]

ALTITUDE_KM: Final = 100.0
"""Where air begins to matter to a meteoroid, and where fireball networks first see it."""

# Nothing farther from the centre than the equator's radius (WGS84) and that, with a km to spare, is as low.
_REACH_KM: Final = 6_378.137 + ALTITUDE_KM + 1.0
# The way is at most some 1,300 km (86 s, the shortest full step, at 15 km/s): a graze is seen if it is 10 m deep.
_SAMPLES: Final = 129
_KM_S_PER_AU_D: Final = AU_KM / DAY_S


@dataclass(frozen=True, slots=True)
class Entry:
    """A crossing of `ALTITUDE_KM` above the WGS84 ellipsoid.

    Attributes:
        time_d: days of TDB since J2000.0.
        latitude_deg: geodetic.
        longitude_deg: east, -180 to 180.
        speed_km_s: relative to Earth's centre, in axes that do not turn.
        speed_in_atmosphere_km_s: relative to air that turns with Earth.
        flight_path_angle_deg: of that motion above the horizon, negative downwards.
        azimuth_deg: of that motion, from north through east, 0 to 360.
        utc_known: whether the leap seconds behind the longitude are.
    """

    time_d: float
    latitude_deg: float
    longitude_deg: float
    speed_km_s: float
    speed_in_atmosphere_km_s: float
    flight_path_angle_deg: float
    azimuth_deg: float
    utc_known: bool


def find_entry(steps: Steps, approach: Approach, before: Steps | None = None) -> Entry | None:
    """The entry that belongs to an approach.

    Args:
        steps: where the approach was found.
        approach: within these steps.
        before: the steps just before: an object may come down to 100 km in these, and to its lowest in the others.

    Returns:
        None where the body is not Earth, the path stays higher, or begins lower.
    """
    if approach.body is not Body.EARTH or approach.distance_km > _REACH_KM:
        return None
    steps = join((before, steps)) if before else steps
    # In the minutes that this takes Earth's axis, which alone counts for altitudes, does not move by a metre.
    to_terrestrial = orientation(approach.time_d).to_terrestrial

    def height_km(times: Floats) -> Floats:
        positions = _geocentric(steps, times)[:, :3] * AU_KM
        return geodetic(positions @ to_terrestrial.T)[2] - ALTITUDE_KM

    times = _around(steps, approach)
    heights = height_km(times)
    downwards = np.flatnonzero((heights[:-1] >= 0.0) & (heights[1:] < 0.0))
    if not len(downwards):
        return None
    above, below = times[downwards[-1]], times[downwards[-1] + 1]
    return _describe(steps, find_root(lambda t: float(height_km(np.array([t]))[0]), float(above), float(below)))


def _around(steps: Steps, approach: Approach) -> Floats:
    """Instants from outside through the approach, or down to the ground."""
    lowest_d = approach.impact.time_d if approach.impact else approach.time_d
    knots = steps.time_d[steps.time_d * steps.direction <= lowest_d * steps.direction]
    distance_km = np.linalg.norm(_geocentric(steps, knots)[:, :3], axis=1) * AU_KM
    outside = np.flatnonzero(distance_km > _REACH_KM)
    begin = knots[outside[-1]] if len(outside) else knots[0]
    if approach.impact:
        return np.linspace(begin, lowest_d, _SAMPLES)
    # Over the poles' flattening the lowest point may come a little after the nearest.
    end = min(2.0 * approach.time_d - begin, steps.time_d[-1], key=lambda time_d: time_d * steps.direction)
    return np.linspace(begin, end, _SAMPLES)


def _geocentric(steps: Steps, times: Floats) -> Floats:
    """(N, 6) au and au/d, ICRF axes."""
    return steps.at(times) - ephemeris.states(Body.EARTH, times)


def _describe(steps: Steps, time_d: float) -> Entry:
    state = _geocentric(steps, np.array([time_d]))[0]
    turned = orientation(time_d)
    position_km = turned.to_terrestrial @ state[:3] * AU_KM
    velocity_km_s = turned.to_terrestrial @ state[3:] * _KM_S_PER_AU_D
    latitudes, longitudes, _ = geodetic(position_km[None])
    latitude_deg, longitude_deg = float(latitudes[0]), float(longitudes[0])
    in_air_km_s = velocity_km_s - air_velocity_km_s(position_km)
    speed_in_air_km_s = float(np.linalg.norm(in_air_km_s))
    east, north, up = east_north_up(latitude_deg, longitude_deg) @ in_air_km_s
    return Entry(
        time_d=time_d,
        latitude_deg=latitude_deg,
        longitude_deg=longitude_deg,
        speed_km_s=float(np.linalg.norm(velocity_km_s)),
        speed_in_atmosphere_km_s=speed_in_air_km_s,
        flight_path_angle_deg=float(np.degrees(np.arctan2(up, np.hypot(east, north)))),
        azimuth_deg=float(np.degrees(np.arctan2(east, north)) % 360.0),
        utc_known=turned.utc_known,
    )
