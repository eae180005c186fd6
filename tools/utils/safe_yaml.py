"""YAML from elsewhere: plain values, no more of them than a person writes."""

from __future__ import annotations

import math

import yaml

MOST = 100_000  # values, each alias (*name) counted as what it stands for


def load(text: str):
    """Read one YAML document.

    Raises
    ------
    yaml.YAMLError
        If it is none, asks for Python objects, or its aliases stand for too much: nine lines can
        stand for a billion values.

    Examples
    --------
    >>> load("a: &a [1, 2]\\nb: *a")
    {'a': [1, 2], 'b': [1, 2]}
    """
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        if _size(node, {}) > MOST:
            raise yaml.YAMLError(f"it stands for more than {MOST} values")
        content = loader.construct_document(node)
        repr(content)  # Python refuses to show a number of thousands of digits, in a sentence too
        return content
    except yaml.YAMLError:
        raise
    except RecursionError as error:
        raise yaml.YAMLError("it is nested too deeply") from error
    except Exception as error:  # PyYAML has many for a value that its tag does not fit
        raise yaml.YAMLError(f"it holds a value that cannot be read: {error}") from error
    finally:
        loader.dispose()


def _size(node: yaml.Node, known: dict) -> float:
    if id(node) not in known:
        known[id(node)] = math.inf  # of what holds itself
        parts = node.value if isinstance(node, yaml.CollectionNode) else ()
        if isinstance(node, yaml.MappingNode):
            parts = [part for pair in parts for part in pair]
        known[id(node)] = 1 + sum(_size(part, known) for part in parts)
    return known[id(node)]
