"""Other functions in place of Paddle's operators, for a while."""

from __future__ import annotations

import threading
from contextlib import contextmanager

from paddle import _C_ops

# Operators and parameters are the whole process's: threads that replace some take turns.
TURN = threading.RLock()


@contextmanager
def replaced(replacements: dict, methods=()):
    """Run with `replacements`, by name, for attributes of `paddle._C_ops`.

    `methods` are others to replace: the object, the attribute's name and what takes its place.
    """
    slots = [*((_C_ops, name, function) for name, function in replacements.items()), *methods]
    with TURN:
        before = [(owner, name, getattr(owner, name)) for owner, name, _ in slots]
        try:
            for slot in slots:
                setattr(*slot)
            yield
        finally:
            for slot in before:
                setattr(*slot)
