"""YAML of a few plain values, such as lies beside models and data."""

from __future__ import annotations

import yaml


def load(text: str) -> dict:
    """Read a YAML document of keys and values.

    Raises
    ------
    ValueError
        If it is none, asks for Python objects, or has aliases, by which a few lines can stand for a
        billion values.

    Examples
    --------
    >>> load("classes: [cat, dog]")
    {'classes': ['cat', 'dog']}
    """
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, yaml.SafeLoader)):
            raise ValueError("it has aliases")
        content = yaml.safe_load(text)
    except Exception as error:  # PyYAML has many for a value that its tag does not fit
        raise ValueError(f"no plain YAML ({error})") from error
    if not isinstance(content, dict):
        raise ValueError("it holds no keys")
    return content
