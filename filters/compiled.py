"""Scalar loops over Arrow buffers, compiled by numba the first time they run and kept on disk for the next process.

Kernels are not parallel: parts run on threads of their own, and figures per core stay comparable. They give up the
interpreter's lock, so those threads run at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """The function as machine code; numba is imported when a module of kernels is."""
    import numba

    return cast(F, numba.njit(cache=True, nogil=True, error_model="numpy")(function))
