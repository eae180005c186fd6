"""Other functions in place of Paddle's operators, for a while."""

from __future__ import annotations

from contextlib import contextmanager

from paddle import _C_ops


@contextmanager
def replaced(replacements: dict):
    """Run with `replacements`, by name, for attributes of `paddle._C_ops`."""
    before = {name: getattr(_C_ops, name) for name in replacements}
    try:
        for name, function in replacements.items():
            setattr(_C_ops, name, function)
        yield
    finally:
        for name, function in before.items():
            setattr(_C_ops, name, function)
