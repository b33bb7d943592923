# SPDX-License-Identifier: GPL-3.0-or-later
"""Where ASSIST reads the bodies' places, and what of them it keeps."""

import contextlib
import ctypes
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import assist
import numpy as np
from numpy.typing import NDArray

from gateway.simulation.ephemeris import PLANET_KERNEL

Floats = NDArray[np.float64]

# No clock gets there: marks a state that ASSIST is to forget.
NEVER_D: Final = 1e306
# ASSIST's cache holds a body's states at so many times.
STATES_KEPT: Final = 7
_SUN_MOON_AND_PLANETS: Final = 11
NUMBERED_ASTEROIDS: Final = 2_000_000
"""SPK's code of a numbered asteroid is its number and this."""


class OwnClock(assist.Ephem):  # type: ignore[misc]  # the library has no types
    """A copy of ASSIST's ephemeris whose times count from an epoch of its own; the kernels stay with the original."""

    def __del__(self) -> None:
        """Leave the kernels open: the original's would close them under every other copy."""


class _Target(ctypes.Structure):
    """`struct spk_target` of ASSIST's spk.h: one body of a kernel."""

    _fields_ = (
        ("code", ctypes.c_int),
        ("centre", ctypes.c_int),
        *((name, ctypes.c_double) for name in ("mass", "start", "end", "step")),
        *((name, ctypes.c_void_p) for name in ("first", "last")),
        ("records", ctypes.c_int),
    )


class _Kernel(ctypes.Structure):
    """How `struct spk_s` of ASSIST's spk.h begins."""

    _fields_ = (("targets", ctypes.POINTER(_Target)), ("count", ctypes.c_int))


def cached_times(extras: assist.Extras, ephemeris: assist.Ephem) -> Floats:
    """The times whose states ASSIST keeps, seven a body: `struct assist_ephem_cache` of assist.h begins with them.

    Raises:
        RuntimeError: they are not where this version of ASSIST has them.
    """
    # Not through `extras.ephem`: what that returns frees the kernels when it is dropped.
    count = _SUN_MOON_AND_PLANETS + _asteroids_in(ephemeris)
    pointer_to_times = ctypes.POINTER(ctypes.POINTER(ctypes.c_double))
    first_member = ctypes.cast(extras._ephem_cache, pointer_to_times).contents  # noqa: SLF001  # no public way
    times: Floats = np.ctypeslib.as_array(first_member, (STATES_KEPT * count,))
    if not (times == -NEVER_D).all():
        raise RuntimeError("ASSIST keeps its ephemeris cache elsewhere: this version is not known")
    return times


def has_asteroids(asteroid_kernel: Path | None) -> bool:
    """Whether asteroids perturb the object, given the kernel that was configured."""
    return asteroid_count(asteroid_kernel) > 0


def asteroid_count(asteroid_kernel: Path | None, without: int | None = None) -> int:
    """How many asteroids perturb the object; arguments as those of `ephemeris`."""
    return _asteroids_in(ephemeris(asteroid_kernel)) - (without is not None)


def _asteroids_in(found: assist.Ephem) -> int:
    asteroids = found.spk_asteroids
    return int(_Kernel.from_address(asteroids).count) if asteroids else 0


def ephemeris_description(asteroid_kernel: Path | None, without: int | None = None) -> str:
    """Where the bodies' positions come from, in words, for the provenance; arguments as those of `ephemeris`."""
    if asteroid_kernel is None or not has_asteroids(asteroid_kernel):
        return "DE440; no asteroid perturbers"
    text = f"DE440; {asteroid_count(asteroid_kernel, without)} asteroid perturbers from {asteroid_kernel.name}"
    return text if without is None else f"{text}, without ({without - NUMBERED_ASTEROIDS}), the object itself"


@cache
def ephemeris(asteroid_kernel: Path | None, without: int | None = None) -> Any:
    """ASSIST's view of the kernels, read once a process.

    Args:
        asteroid_kernel: SPK file of the perturbing asteroids; None for none.
        without: SPK's code of an asteroid in it that is left out, because it is the object itself.

    Raises:
        FileNotFoundError: the asteroid kernel cannot be read.
        RuntimeError: the asteroid to be left out is not in the kernel.
    """
    if asteroid_kernel is None:
        with _silent_stderr():
            return assist.Ephem(str(PLANET_KERNEL))
    found = assist.Ephem(str(PLANET_KERNEL), str(asteroid_kernel))
    if not found.spk_asteroids:
        raise FileNotFoundError(f"the asteroid kernel {asteroid_kernel} is not there or is no SPK file")
    if without is not None:
        _leave_out(_Kernel.from_address(found.spk_asteroids), without)
    return found


def _leave_out(kernel: _Kernel, code: int) -> None:
    """Take a body out of ASSIST's table: the last one takes its place."""
    codes = [kernel.targets[row].code for row in range(kernel.count)]
    if code not in codes:
        raise RuntimeError(f"{code} is not among the bodies of the asteroid kernel, as ASSIST has them: {codes}")
    kernel.targets[codes.index(code)] = kernel.targets[kernel.count - 1]
    kernel.count -= 1


@contextlib.contextmanager
def _silent_stderr() -> Iterator[None]:
    """Keep C code's own lines out of the log: ASSIST remarks on absent asteroids, which every reply says anyway."""
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        ctypes.CDLL(None).fflush(None)
        os.dup2(kept, 2)
        os.close(nowhere)
        os.close(kept)
