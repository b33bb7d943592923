# SPDX-License-Identifier: GPL-3.0-or-later
"""Gives memory that was freed back to the system.

glibc keeps what is freed between blocks still in use: after a burst of large or many requests a pod stays as large as
it was at the worst moment.
"""

import asyncio
import ctypes
from pathlib import Path
from resource import getpagesize
from typing import Final

_LOOK_PERIOD_S: Final = 2.0
# A trim takes some milliseconds: not for less than this.
_WORTH_BYTES: Final = 8 * 1024 * 1024
_STATM: Final = Path("/proc/self/statm")


class _MallInfo(ctypes.Structure):
    """What `mallinfo2` returns (mallinfo(3))."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            "arena",
            "ordblks",
            "smblks",
            "hblks",
            "hblkhd",
            "usmblks",
            "fsmblks",
            "uordblks",
            "fordblks",
            "keepcost",
        )
    )


async def give_memory_back() -> None:
    """Trim the allocator whenever much of what is resident is not in use, until cancelled; glibc only (2.33)."""
    libc = ctypes.CDLL(None)
    trim, info = getattr(libc, "malloc_trim", None), getattr(libc, "mallinfo2", None)
    if trim is None or info is None or not _STATM.exists():
        return
    info.restype = _MallInfo

    def unused_bytes() -> int:
        """Resident, and not allocated: also code, stacks, and what Python allocates by itself."""
        allocated = info()
        resident_bytes = int(_STATM.read_text(encoding="ascii").split()[1]) * getpagesize()
        return resident_bytes - int(allocated.uordblks + allocated.hblkhd)

    least_bytes = unused_bytes()
    while True:
        await asyncio.sleep(_LOOK_PERIOD_S)
        now_bytes = unused_bytes()
        if now_bytes - least_bytes > _WORTH_BYTES:
            # On a thread, and without the interpreter's lock: calls go on meanwhile.
            await asyncio.to_thread(trim, 0)
            least_bytes = unused_bytes()
        else:
            least_bytes = min(least_bytes, now_bytes)
