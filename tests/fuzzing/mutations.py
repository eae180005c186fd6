"""Inputs that are nearly right: valid ones of which some bytes or values were changed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from hypothesis import strategies as st

NUMBERS = [0, 1, 127, 128, 255, 256, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63]
NUMBERS += [2**64 - 1]
KINDS = ("flip", "number", "token", "cut", "remove", "repeat", "splice")
TEXTS = ["", " ", "\n", "a\nb", "\0", "a\0b", "\x1b[2J", "\ud800", "\u2028", "é", "日本", "٣", "²"]
TEXTS += ["." * 3, "..", "../../out", "x" * 300, "a/b\\c", "-1", "1e999", "nan", "None", "%s{0}"]
TEXTS += ["__class__", "yes", "~", "null", "[", "{", "&a", "*a", "!!python/name:os.system"]
ODD_NUMBERS = [-1, 2**31, 2**63, -(2**63) - 1, 10**30, -(10**400), 0.5, -0.0, 1e-320, 1e308]
ODD_NUMBERS += [math.inf, -math.inf, math.nan]


def odd_values() -> st.SearchStrategy:
    """Values of JSON and YAML that nobody expects."""
    single = st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-2, 40),
        st.sampled_from(ODD_NUMBERS),
        st.sampled_from(TEXTS),
        st.text(max_size=8),
        st.binary(max_size=4),
        st.dates(),
    )
    return st.one_of(
        single,
        st.lists(single, max_size=3),
        st.dictionaries(single, single, max_size=2),
        st.builds(nested, single, st.sampled_from([1, 3, 50, 500]), st.booleans()),
    )


def nested(value, levels: int, in_lists: bool):
    for _ in range(levels):
        value = [value] if in_lists else {"a": value}
    return value


@st.composite
def mutated(draw, wholes: Sequence[bytes], tokens: Sequence[bytes] = (b"\0",)) -> bytes:
    """One of `wholes` after up to four changes; `tokens` are what the format consists of."""
    content = draw(st.sampled_from(wholes))
    for _ in range(draw(st.integers(0, 4))):
        place = draw(st.integers(0, len(content)))
        length = draw(st.integers(1, 16))
        head, piece, tail = content[:place], content[place : place + length], content[place:]
        kind = draw(
            st.sampled_from(("flip", "number", "token", "cut", "remove", "repeat", "splice"))
        )
        if kind == "flip":
            changed = bytes(byte ^ draw(st.integers(1, 255)) for byte in piece[:1])
            content = head + changed + tail[1:]
        elif kind == "number":
            size, order = (
                draw(st.sampled_from((1, 2, 4, 8))),
                draw(st.sampled_from(("little", "big"))),
            )
            number = draw(st.sampled_from(NUMBERS)) % 256**size
            content = head + number.to_bytes(size, order) + tail[size:]
        elif kind == "token":
            content = head + draw(st.sampled_from(tokens)) + tail[draw(st.integers(0, length)) :]
        elif kind == "cut":
            content = head
        elif kind == "remove":
            content = head + tail[length:]
        elif kind == "repeat":
            content = head + piece * draw(st.sampled_from((2, 3, 100))) + tail[length:]
        else:
            other = draw(st.sampled_from(wholes))
            content = head + other[draw(st.integers(0, len(other))) :]
    return content


@st.composite
def altered(draw, tree, values: st.SearchStrategy | None = None):
    """A tree of dicts and lists with odd values for some parts, others missing or renamed."""
    for _ in range(draw(st.integers(1, 3))):
        tree = _altered(draw, tree, odd_values() if values is None else values)
    return tree


def _altered(draw: Callable, tree, values: st.SearchStrategy):
    inner = isinstance(tree, (dict, list)) and len(tree) > 0
    if not inner or draw(st.integers(0, 5)) == 0:
        return draw(values | near(tree))
    copy = dict(tree) if isinstance(tree, dict) else list(tree)
    places = list(copy) if isinstance(copy, dict) else range(len(copy))
    place = draw(st.sampled_from(places))
    kind = draw(st.integers(0, 7))
    if kind == 0:
        del copy[place]
    elif kind == 1 and isinstance(copy, dict):
        copy[draw(KEYS)] = copy.pop(place)
    elif kind == 2 and isinstance(copy, dict):
        copy[draw(KEYS)] = copy[place]
    else:
        copy[place] = _altered(draw, copy[place], values)
    return copy


KEYS = st.sampled_from([*TEXTS, 0, 1, -1.5, None, True, (), b"x"])


def near(value) -> st.SearchStrategy:
    """Nearly the same: the next number, other axes or another type of an array."""
    if isinstance(value, np.ndarray) and value.ndim:
        others = [value[:0], value[:1], value[..., None], value[None], value.ravel()]
        others += [np.ones(value.shape, kind) for kind in ("u1", "i8", "f4", "S3")]
    elif isinstance(value, list):
        others = [value[:-1], value * 2, value[::-1], [value], [[part] for part in value]]
    elif isinstance(value, (int, float)):
        others = [value + 1, value - 1, -value, [value], str(value)[:99], f"{value}.5"[-99:]]
    else:
        others = [[value], {"a": value}, repr(value)]
    return st.sampled_from(others)
