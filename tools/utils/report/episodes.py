"""Sample episodes, those of classes as tables."""

from __future__ import annotations

from html import escape

from utils.picture import examples, letter, predictions
from utils.report import regression
from utils.report.markup import image


def section(episodes: list, missing: str) -> str:
    """The episodes; of classes, as tables: a row per class, its support images and its first
    queries.
    """
    if not episodes:
        return f"<p>There are no episodes to show: {escape(missing)}</p>" if missing else ""
    if hasattr(episodes[0], "predictions"):
        return regression.section(episodes)
    shown = "".join(episode_table(number, episode) for number, episode in enumerate(episodes, 1))
    if episodes[0].before is None:
        steps, when = " and", " and its probability"
    else:
        steps = ", takes its inner steps and"
        when = " before the first step and its probability, and below it after the last step"
    return (
        f"<p>The first {len(episodes)} tasks of the test split. The net sees the support images "
        f"with their classes{steps} classifies the queries. Under each query: the class "
        f'predicted{when}.</p><div class="episodes">{shown}</div>'
    )


def episode_table(number: int, episode) -> str:
    way = episode.after.shape[1]
    right = " → ".join(
        f"{100 * (p.argmax(1) == episode.query_y).mean():.0f} %"
        for p in predictions(episode).values()
    )
    most = max(len(examples(episode.query_y, c)) for c in range(way))
    rows = []
    for c in range(way):
        support = "".join(
            image(episode.support_x[i], f"support image of class {letter(c)}")
            for i in examples(episode.support_y, c)
        )
        cells = "".join(query(episode, i, c) for i in examples(episode.query_y, c))
        rows.append(
            f'<tr><th scope="row"><div class="support"><b>{letter(c)}</b>{support}</div></th>'
            f"{cells}</tr>"
        )
    shown, total = most * way, len(episode.query_y)
    count = f"{shown} of {total} queries shown" if shown < total else f"{total} queries"
    return (
        f'<div class="episode"><h3>Task {number}: {right} right</h3>'
        f'<div class="scroll"><table><caption>{count}</caption>'
        '<thead><tr><th scope="col">Class</th>'
        f'<th scope="colgroup" colspan="{most}">Queries</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div></div>"
    )


def query(episode, i: int, c: int) -> str:
    """A cell: a query, and what is predicted of it."""
    parts = []
    for when, of_queries in predictions(episode).items():
        probabilities = of_queries[i]
        guess = probabilities.argmax()
        kind, mark = ("right", "✓") if guess == c else ("wrong", "✗")
        parts.append(
            f'<span class="{kind}"><span class="hidden">{when}: </span>'
            f"{letter(guess)} {100 * probabilities[guess]:.0f}&#8239;% {mark}"
            f'<span class="hidden"> {kind}</span></span>'
        )
    picture = image(episode.query_x[i], f"query of class {letter(c)}")
    return f'<td class="query {kind}">{picture}{"<br>".join(parts)}</td>'
