# SPDX-License-Identifier: GPL-3.0-or-later
"""A slow, plain MOID that shares no code with the package: a grid over both orbits, then zooming in."""

import numpy as np

GRID = 240
CANDIDATES = 6
ZOOMS = 60


def points(orbits, parameter):
    """Positions at a parameter in [-1, 1] of each orbit: shapes (N, K) -> (N, K, 3).

    Half of the parameter's way is true anomaly and half the square root of the distance from the Sun, so that
    both the perihelion of a long orbit and its far arms are seen.
    """
    q, e = orbits.perihelion_distance_au[:, None], orbits.eccentricity[:, None]
    limit = np.where(e < 1.0, np.pi, 0.999 * np.arccos(np.maximum(-1.0 / np.maximum(e, 1.0), -1.0)))
    # The anomaly's half tangent scaled by its own stretch: uniform in eccentric anomaly for ellipses.
    stretch = np.sqrt(np.abs(1.0 - e) / (1.0 + e))
    ellipse = 2.0 * np.arctan2(
        np.sin(np.pi / 2.0 * parameter), np.maximum(stretch, 1e-3) * np.cos(np.pi / 2.0 * parameter)
    )
    anomaly = np.where(e < 1.0, 0.5 * (ellipse + limit * parameter), limit * parameter)
    radius = q * (1.0 + e) / (1.0 + e * np.cos(anomaly))
    u = anomaly + np.radians(orbits.argument_of_perihelion_deg)[:, None]
    node = np.radians(orbits.longitude_of_ascending_node_deg)[:, None]
    tilt = np.radians(orbits.inclination_deg)[:, None]
    x = radius * (np.cos(node) * np.cos(u) - np.sin(node) * np.sin(u) * np.cos(tilt))
    y = radius * (np.sin(node) * np.cos(u) + np.cos(node) * np.sin(u) * np.cos(tilt))
    return np.stack([x, y, radius * np.sin(u) * np.sin(tilt)], axis=-1)


def brute_force_moid_au(orbits, references):
    """The least distance found between each pair, shape (N,): never below the true one but for round-off."""
    n = len(orbits)
    grid = np.broadcast_to((np.arange(GRID) + 0.5) / GRID * 2.0 - 1.0, (n, GRID))
    ours, theirs = points(orbits, grid), points(references, grid)
    best = np.empty((n, CANDIDATES, 2))
    for row in range(n):
        squared = ((ours[row, :, None] - theirs[row, None]) ** 2).sum(-1)
        lowest = squared.copy()
        for axis in (0, 1):
            np.minimum(lowest, np.minimum(np.roll(squared, 1, axis), np.roll(squared, -1, axis)), out=lowest)
        minima = np.where(squared <= lowest, squared, np.inf).ravel()
        chosen = np.argpartition(minima, CANDIDATES)[:CANDIDATES]
        best[row] = np.stack(np.unravel_index(chosen, squared.shape), axis=-1)
    best = (best + 0.5) / GRID * 2.0 - 1.0
    offsets = np.stack(np.meshgrid(*[np.linspace(-1.0, 1.0, 5)] * 2, indexing="ij"), axis=-1).reshape(-1, 2)
    step, distance = 2.0 / GRID, np.full(n, np.inf)
    for _ in range(ZOOMS):
        tried = best[:, :, None] + step * offsets
        tried[..., 0] = np.where(
            (orbits.eccentricity < 1.0)[:, None, None], tried[..., 0], np.clip(tried[..., 0], -1.0, 1.0)
        )
        flat = tried.reshape(n, -1, 2)
        squared = ((points(orbits, flat[..., 0]) - points(references, flat[..., 1])) ** 2).sum(-1)
        distance = np.minimum(distance, np.sqrt(squared.min(axis=1)))
        chosen = squared.reshape(n, CANDIDATES, -1).argmin(axis=2)
        best = np.take_along_axis(tried, chosen[:, :, None, None], axis=2)[:, :, 0]
        step *= 0.7
    return distance
