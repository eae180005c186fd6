"""Tables, images and numbers as HTML."""

from __future__ import annotations

import base64
import io
from html import escape

from utils.picture import to_image


def pairs(rows) -> str:
    cells = "".join(
        f'<tr><th scope="row">{escape(str(name))}</th><td>{escape(_plain(value))}</td></tr>'
        for name, value in rows
    )
    return f'<table class="pairs"><tbody>{cells}</tbody></table>'


def table(header: list[str], rows: list[list[str]]) -> str:
    heads = "".join(f'<th scope="col">{escape(name)}</th>' for name in header)
    body = "".join(
        f'<tr><th scope="row">{escape(first)}</th>'
        + "".join(f"<td>{escape(cell)}</td>" for cell in rest)
        + "</tr>"
        for first, *rest in rows
    )
    head = f"<thead><tr>{heads}</tr></thead>"
    return f'<div class="scroll"><table>{head}<tbody>{body}</tbody></table></div>'


def image(pixels, alt: str) -> str:
    file = io.BytesIO()
    to_image(pixels).save(file, "PNG", optimize=True)
    data = base64.b64encode(file.getvalue()).decode()
    return (
        f'<img alt="{alt}" width="{pixels.shape[1]}" height="{pixels.shape[0]}" '
        f'src="data:image/png;base64,{data}">'
    )


def duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


def _plain(value) -> str:
    """As YAML has it, for words that differ from Python's."""
    return str(value).lower() if isinstance(value, bool) else str(value)
