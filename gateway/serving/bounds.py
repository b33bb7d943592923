# SPDX-License-Identifier: GPL-3.0-or-later
"""The bounds that the protos' comments promise, message by message: `gateway.serving.validation` enforces them.

Every floating-point field of a request has its row here (a test holds the table against the descriptors); the reasons
stand in the protos.
"""

from collections.abc import Mapping
from typing import Final

from gateway.neo.domain import Interval

# DE440: Park et al. 2021, AJ 161, 105; JPL's file spans 1549-12-31 to 2650-01-25, given here in whole years.
EPHEMERIS_SPAN_TDB_JD: Final = (2287184.5, 2688976.5)
MAX_OBJECTS: Final = 1_000
MAX_COLUMN_ROWS: Final = 100_000

_EPOCH = Interval(*EPHEMERIS_SPAN_TDB_JD)
_TURN = Interval(0.0, 360.0)
_ANY_ANOMALY = Interval(-360.0, 360.0)
_SIZE_AU = Interval(1e-3, 2_000.0)
PERIHELION_DISTANCE_AU: Final = Interval(1e-4, 100.0)
_ECCENTRICITY = Interval(0.0, 20.0)
_INCLINATION = Interval(0.0, 180.0)
# A perihelion may lie outside the ephemeris: comets come back after thousands of years.
PERIHELION_TIME_TDB_JD: Final = Interval(-1e8, 1e8)
_SIGMA = Interval(0.0, 1e6)
_POSITION_AU = Interval(-2_000.0, 2_000.0)
_VELOCITY_AU_D = Interval(-1.0, 1.0)
_VELOCITY_KM_S = Interval(-100.0, 100.0)
_NON_GRAVITATIONAL = Interval(-1e-4, 1e-4)
_MASS_KG = Interval(1e-6, 1e22)
_H = Interval(-5.0, 40.0)

_ORBIT = {
    "semi_major_axis_au": _SIZE_AU,
    "perihelion_distance_au": PERIHELION_DISTANCE_AU,
    "eccentricity": _ECCENTRICITY,
    "inclination_deg": _INCLINATION,
    "longitude_of_ascending_node_deg": _TURN,
    "argument_of_perihelion_deg": _TURN,
}
_PHASE = {"mean_anomaly_deg": _ANY_ANOMALY, "perihelion_time_tdb_jd": PERIHELION_TIME_TDB_JD}

# By message name: the interval of each numeric field, of each value if it is repeated.
NUMBERS: Final[Mapping[str, Mapping[str, Interval]]] = {
    "OrbitalElements": {"epoch_tdb_jd": _EPOCH, **_ORBIT, **_PHASE},
    "ElementOverride": {**_ORBIT, **_PHASE},
    "OrbitColumns": {"epoch_tdb_jd": _EPOCH, **_ORBIT, "absolute_magnitude_h": _H},
    "StateVector": {
        "epoch_tdb_jd": _EPOCH,
        **dict.fromkeys(("x_au", "y_au", "z_au"), _POSITION_AU),
        **dict.fromkeys(("vx_au_d", "vy_au_d", "vz_au_d"), _VELOCITY_AU_D),
    },
    "PhysicalParameters": {
        "absolute_magnitude_h": _H,
        "slope_g": Interval(-0.5, 1.0),
        "diameter_km": Interval(1e-6, 2_000.0),
        "albedo": Interval(1e-3, 1.0),
        "density_kg_m3": Interval(1.0, 20_000.0),
        "mass_kg": _MASS_KG,
    },
    "OrbitUncertainty": {"arc_days": Interval(0.0, 1e6)},
    "ElementSigmas": {
        **dict.fromkeys(_ORBIT, _SIGMA),
        "mean_anomaly_deg": _SIGMA,
        "perihelion_time_d": _SIGMA,
    },
    "Covariance": {"epoch_tdb_jd": _EPOCH, "values": Interval(-1e12, 1e12)},
    "NonGravitational": dict.fromkeys(("a1_au_d2", "a2_au_d2", "a3_au_d2"), _NON_GRAVITATIONAL),
    "MarsdenLaw": {
        "alpha": Interval(0.0, 1e6),
        "r0_au": Interval(0.01, 1_000.0),
        "m": Interval(0.0, 10.0),
        "n": Interval(0.0, 20.0),
        "k": Interval(0.0, 20.0),
    },
    "ModelSelector": {"version": Interval(1, 2**63 - 1)},
    "ModelSpec": {"version": Interval(1, 2**63 - 1)},
    "Scenario": {"duration_days": Interval(-36_525.0, 36_525.0)},
    "OutputOptions": {
        "max_distance_au": Interval(1e-6, 1.0),
        "trajectory_points": Interval(2, 20_000),
    },
    "Impulse": {
        "time_tdb_jd": _EPOCH,
        **dict.fromkeys(("radial_km_s", "transverse_km_s", "normal_km_s"), _VELOCITY_KM_S),
    },
    "EclipticImpulse": {
        "time_tdb_jd": _EPOCH,
        **dict.fromkeys(("x_km_s", "y_km_s", "z_km_s"), _VELOCITY_KM_S),
    },
    "KineticImpactor": {
        "time_tdb_jd": _EPOCH,
        "mass_kg": Interval(1e-6, 1e9),
        **dict.fromkeys(("vx_km_s", "vy_km_s", "vz_km_s"), _VELOCITY_KM_S),
        "beta": Interval(0.0, 10.0),
    },
    "MassOverride": {"mass_kg": _MASS_KG},
    "EstimateDeflectionRequest": {
        "from_tdb_jd": _EPOCH,
        "to_tdb_jd": _EPOCH,
        "lead_time_d": Interval(0.1, 36_525.0),
        "push_mm_s": Interval(1e-4, 1e5),
        "clearance_km": Interval(0.0, 1e6),
        "max_push_mm_s": Interval(1e-3, 1e6),
    },
    "DeflectingImpactor": {
        "mass_kg": Interval(1e-6, 1e9),
        **dict.fromkeys(("vx_km_s", "vy_km_s", "vz_km_s"), _VELOCITY_KM_S),
        "beta": Interval(1e-3, 10.0),
    },
    "EstimateImpactRequest": {
        "samples": Interval(1, 1_000_000),
        "target_relative_precision": Interval(1e-3, 1.0),
        # All there are: any number is a seed.
        "seed": Interval(0, 2**64),
    },
    "ImpactWindow": {"start_tdb_jd": _EPOCH, "end_tdb_jd": _EPOCH},
    "AssessConsequencesRequest": {
        "absolute_magnitude_sigma": Interval(0.0, 5.0),
        "speed_km_s": Interval(1.0, 100.0),
        "v_infinity_km_s": Interval(0.0, 100.0),
        "angle_deg": Interval(1.0, 90.0),
        "distance_km": Interval(1e-3, 20_000.0),
        "impact_probability": Interval(0.0, 1.0),
        "years_to_impact": Interval(1e-6, 1e4),
    },
}

# Fields that zero or absence leaves unanswered: a number without presence, a message, or a oneof by its name.
REQUIRED: Final[Mapping[str, tuple[str, ...]]] = {
    "NearEarthObject": ("orbit",),
    "OrbitalElements": ("epoch_tdb_jd", "size"),
    "StateVector": ("epoch_tdb_jd",),
    "Covariance": ("epoch_tdb_jd",),
    "PredictColumnsRequest": ("orbits",),
    "ScoreAnomalyColumnsRequest": ("orbits",),
    "ComputeMoidColumnsRequest": ("orbits",),
    "SimulateRequest": ("scenario",),
    "Scenario": ("object", "duration_days"),
    "Change": ("change",),
    "Impulse": ("time_tdb_jd",),
    "EclipticImpulse": ("time_tdb_jd",),
    "KineticImpactor": ("time_tdb_jd", "mass_kg"),
    "MassOverride": ("mass_kg",),
    "EstimateDeflectionRequest": ("object", "from_tdb_jd", "to_tdb_jd"),
    "DeflectingImpactor": ("mass_kg",),
    "EstimateImpactRequest": ("object", "window"),
    "ImpactWindow": ("end_tdb_jd",),
    "AssessConsequencesRequest": ("physical",),
    "SubmitClassificationRequest": ("request_id", "designation", "label"),
    "ModelSpec": ("name", "version"),
    "ExportContributorRequest": ("contributor_token",),
    "EraseContributorRequest": ("request_id", "contributor_token"),
}

# How many values a repeated field may hold, both ends included.
COUNTS: Final[Mapping[str, Mapping[str, tuple[int, int]]]] = {
    "PredictRequest": {"objects": (1, MAX_OBJECTS)},
    "ScoreAnomaliesRequest": {"objects": (1, MAX_OBJECTS)},
    "ComputeMoidRequest": {"objects": (1, MAX_OBJECTS), "planets": (0, 8)},
    "OrbitColumns": dict.fromkeys(NUMBERS["OrbitColumns"], (0, MAX_COLUMN_ROWS)),
    "Scenario": {"changes": (0, 32)},
    "OutputOptions": {"bodies": (0, 10)},
    "EstimateDeflectionRequest": {"lead_time_d": (0, 100)},
    "AssessConsequencesRequest": {"distance_km": (0, 100)},
    "Covariance": {"labels": (6, 9), "values": (36, 81)},
    "EstimateImpactRequest": {"bodies": (0, 4)},
    "GetConsensusRequest": {"designations": (1, 100)},
}

# How many characters a text may hold; where nothing is said, MAX_TEXT_CHARACTERS.
TEXTS: Final[Mapping[str, Mapping[str, int]]] = {
    # Callers send back what a reply named.
    "ModelSpec": {"training_data": 1_024},
    "SubmitClassificationRequest": {"contributor_token": 128},
    "ExportContributorRequest": {"contributor_token": 128},
    "EraseContributorRequest": {"contributor_token": 128},
}
MAX_TEXT_CHARACTERS: Final = 64
