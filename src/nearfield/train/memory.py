"""Large tensors come and go every step; the allocator is asked to keep their pages."""

from __future__ import annotations

import ctypes
import platform

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -2, -4, -8


def keep_freed_memory() -> None:
    """On glibc, reuse freed blocks instead of giving them back to the system.

    A step allocates gigabytes of activations; by default glibc maps each large block afresh and the kernel clears its
    pages, which costs as much as the arithmetic on a small machine. Elsewhere this does nothing.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    libc = ctypes.CDLL("libc.so.6")
    for option, value in ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, -1), (_M_TOP_PAD, 1 << 26), (_M_ARENA_MAX, 1)):
        libc.mallopt(option, value)
