# SPDX-License-Identifier: GPL-3.0-or-later
"""What a worker process can be asked to do.

A job is a function of a module, with its arguments bound by `functools.partial`, so that it can be pickled:
`partial(simulate, scenario)`. It is called with two more: `emit`, which takes updates as they come, and `cancelled`,
which it asks before every step. It returns its result, or raises `nbody.Cancelled` when told to stop, or `RuntimeError`
where the integrator failed. Whatever is emitted or returned must be picklable too, and small: it crosses a pipe.

Work that can be divided is divided into jobs of about a second: the pool shares its workers between requests job by
job.
"""

from collections.abc import Callable
from typing import TypeAlias, TypeVar

U = TypeVar("U")
R = TypeVar("R")

Emit: TypeAlias = Callable[[U], None]
Cancel: TypeAlias = Callable[[], bool]
Job: TypeAlias = Callable[[Emit[U], Cancel], R]
