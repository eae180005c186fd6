"""The documents: their links lead somewhere, and the example of the README runs."""

from __future__ import annotations

import re
from pathlib import Path

import paddle
import pytest

ROOT = Path(__file__).parents[1]
PAGES = ["README.md", "README_CN.md", *sorted(ROOT.glob("docs/*.md")), "models/maml/readme.md"]
PAGES = [ROOT / page for page in (*PAGES, *sorted(ROOT.glob("datasets/*/readme.md")))]


def prose(page: Path) -> str:
    """A page without its blocks of code."""
    return re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)


def links(page: Path) -> list[tuple[str, Path, str]]:
    """The text, file and anchor of each link that stays in the project."""
    found = re.findall(r"\[([^\]]*)\]\(([^)\s#]*)(?:#([^)\s]+))?\)", prose(page))
    within = [link for link in found if not link[1].startswith(("https:", "http:"))]
    return [(text, page.parent / path if path else page, part) for text, path, part in within]


def anchors(page: Path) -> set[str]:
    """The headings as GitHub makes anchors of them."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page):
    for text, target, part in links(page):
        assert target.exists(), f"{text}: {target} does not exist"
        found = not part or part.lower() in anchors(target)
        assert found, f"{text}: {target} has no heading {part}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_name_that_is_linked_to_its_source_is_defined_there(page):
    for text, target, _ in links(page):
        named = re.fullmatch(r"`(?:\w+\.)*(\w+)(?:\(.*\))?`", text)
        if named and target.suffix == ".py":
            definition = rf"\b(def|class) {named[1]}\b|^{named[1]} = "
            found = re.search(definition, target.read_text("utf-8"), re.MULTILINE)
            assert found or target.parent.name == named[1], f"{text} is not defined in {target}"


@pytest.mark.parametrize("readme", ["README.md", "README_CN.md"])
def test_a_readme_leads_to_every_page(readme):
    linked = {target for _, target, _ in links(ROOT / readme)}
    assert {*ROOT.glob("docs/*.md")} <= linked


@pytest.mark.parametrize("page", ["README.md", "README_CN.md"])
def test_the_example_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where it saves a classifier
    (example,) = re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text("utf-8"), re.S | re.M)
    net = paddle.nn.Linear(3, 2)
    x, y = paddle.randn([4, 2, 3]), paddle.randint(0, 2, [4, 2])
    before = net.weight.numpy().copy()
    names = {"net": net, "batches": [(x, y, x, y)]}
    exec(compile(example, page, "exec"), names)
    assert names["logits"].shape == [2, 2]
    assert names["probabilities"].shape == (2, 2)
    assert (net.weight.numpy() != before).all()
