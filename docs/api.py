"""Render the API reference, docs/api.md, from signatures and docstrings: `python docs/api.py`."""

from __future__ import annotations

import re
from inspect import cleandoc
from pathlib import Path
from textwrap import indent

import griffe

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "api.md"
INTRODUCTION = """\
# API reference

What `import paddle_maml` offers. `python docs/api.py` renders this page from the docstrings; the
tests hold it to them and run every example.
"""


def render(package: str = "paddle_maml") -> str:
    """The page, as markdown for GitHub."""
    module = griffe.load(package, search_paths=[ROOT / "models" / "maml"])
    objects = _bases_first(module[name].final_target for name in module.exports)
    names = {name for found in objects for name in (found.name, *_members(found))}
    rows = [f"| `{found.name}` | {_summary(found)} |" for found in objects]
    index = "\n".join(["| name | |", "|---|---|", *rows])
    parts = [index, *(part for found in objects for part in _described(found))]
    page = "\n\n".join([INTRODUCTION, *(_linked(part, names) for part in parts)])
    return re.sub(r"\n{3,}", "\n\n", page).strip() + "\n"


def _bases_first(objects) -> list:
    """Each once, and before it the classes of the package that it derives from."""
    found = {}
    for each in objects:
        for base in (*reversed(each.mro() if each.is_class else []), each):
            found[base.path] = base
    return list(found.values())


def _members(found) -> dict:
    """The public methods and properties that a class describes itself, by their full names."""
    members = found.members.values() if found.is_class else []
    named = [member for member in members if member.is_public and member.docstring]
    return {f"{found.name}.{member.name}": member for member in named}


def _described(found):
    """The parts of the page on a class or a function."""
    yield f"## {found.name}"
    yield _signature(found)
    bases = found.mro()[:1] if found.is_class else []
    derived = "".join(f"Derives from `{base.name}`. " for base in bases)
    path = found.filepath.relative_to(ROOT).as_posix()
    yield f"{derived}Source: [{found.filepath.name}](../{path})"
    yield from _sections(found.docstring.value)
    for name, member in _members(found).items():
        yield f"### {name}"
        if member.is_function:
            yield _signature(member)
        yield from _sections(member.docstring.value)


def _signature(found):
    text = found.name
    if found.is_function:
        text = found.signature(return_type=True)
    elif "__init__" in found.all_members:
        init = found.all_members["__init__"]
        init = init.final_target if init.is_alias else init
        text = init.signature(name=found.name)
    if len(text) > 99:
        name, inner, rest = re.fullmatch(r"(\w+)\((.*)\)(.*)", text).groups()
        inner = re.sub(r", (?![^\[(]*[\])])", ",\n    ", inner)  # not between brackets
        text = f"{name}(\n    {inner},\n){rest}"
    return _fenced("python", text)


def _sections(docstring):
    """The text of a numpydoc docstring, then each of its sections."""
    text, *titled = re.split(r"^(\w[\w ]*)\n-+\n", docstring, flags=re.MULTILINE)
    yield _text(text)
    for title, body in zip(titled[0::2], titled[1::2]):
        if title == "Examples":
            yield _fenced("python", body.strip())
        elif title == "Notes":
            yield f"**{title}**\n\n{_text(body)}"
        else:
            entries = re.findall(r"^(\S.*)((?:\n+ +.*)*)", body, re.MULTILINE)
            listed = [_entry(title, head, cleandoc(about)) for head, about in entries]
            yield "\n".join([f"**{title}**\n", *listed])


def _entry(title, head, about):
    names, colon, kind = head.partition(" : ")
    if not colon and title != "Parameters":
        names, kind = "", head
    coded = ", ".join(f"`{name}`" for name in names.split(", ") if name)
    head = " : ".join(part for part in (coded, kind) if part)
    return f"- {head}" + (f"\n\n{indent(_text(about), '  ')}\n" if about else "")


def _text(text):
    """With formulas as GitHub has them."""

    def formula(directive):
        lines = [line.strip() for line in directive[1].strip().splitlines()]
        return _fenced("math", "\n".join(lines)) + "\n"

    return re.sub(r"^\.\. math::(.*(?:\n+ +.*)*)", formula, text, flags=re.MULTILINE).strip()


def _fenced(language, text):
    return f"```{language}\n{text}\n```"


def _summary(found):
    return re.split(r"\.\s|:?\n\n", found.docstring.value, maxsplit=1)[0].replace("\n", " ")


def _linked(part, names):
    """With links on what the page describes, outside blocks of code."""
    if part.startswith(("```", "#")):
        return part

    def link(code):
        anchor = code[1].lower().replace(".", "")
        return f"[{code[0]}](#{anchor})" if code[1] in names else code[0]

    return re.sub(r"`([\w.]+)`", link, part)


if __name__ == "__main__":
    PAGE.write_text(render(), "utf-8")
