"""YAML whose aliases would fill the memory, or that asks for more than plain values."""

from __future__ import annotations

import string

import pytest
import yaml
from utils import safe_yaml


def laughs(levels: int, each: int, kind: str) -> str:
    lines = ["a: &a [x]" if kind == "[{}]" else "a: &a {x: 1}"]
    for above, name in zip(string.ascii_letters, string.ascii_letters[1:levels]):
        lines.append(f"{name}: &{name} {kind.format(', '.join([f'*{above}'] * each))}")
    return "\n".join(lines)


@pytest.mark.parametrize("kind", ["[{}]", "{{<<: [{}]}}"], ids=["lists", "merged keys"])
@pytest.mark.parametrize(("levels", "each"), [(10, 9), (40, 2)])
def test_a_billion_laughs_are_refused(levels, each, kind):
    with pytest.raises(yaml.YAMLError, match="more than 100000 values"):
        safe_yaml.load(laughs(levels, each, kind))


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [*a]",
        "a: &a {b: *a}",
        "!!python/object/apply:os.system [echo]",
        "!!python/name:os.system",
        "[" * 100_000,
        "a: 1\n--- \nb: 2",
        "a: *b",
        "a: !!timestamp soon",
        "a: !!bool perhaps",
        "a: !!int ''",
        "a: 2001-99-99",
        "a: \0",
        f"a: 0x{'f' * 5000}",
    ],
)
def test_refused(text):
    with pytest.raises(yaml.YAMLError):
        safe_yaml.load(text)


@pytest.mark.parametrize("text", ["", "1.5", "a: &a {b: [1, two]}\nc: {<<: *a, d: *a}"])
def test_other_documents_are_read_as_ever(text):
    assert safe_yaml.load(text) == yaml.safe_load(text)


def test_a_configuration_of_laughs_is_refused_in_a_sentence(refusal, tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text(laughs(10, 9, "[{}]"))
    sentence = refusal("trainer", config=file)
    assert f"{file} is not valid YAML (it stands for more than 100000 values): mend it" in sentence
