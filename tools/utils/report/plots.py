"""Plots as SVG to stand within a page, whose CSS gives them their font and, by scheme, colours;
as pixels; and as files.
"""

from __future__ import annotations

import io
import re
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

# Stand-ins for CSS variables, which matplotlib cannot write; a page gives each one a value for its
# light and its dark scheme.
COLOURS = {
    "ink": "#010203",
    "muted": "#010204",
    "line": "#010205",
    "train": "#010206",
    "valid": "#010207",
    "test": "#010208",
}
TEMPLATE = Path(__file__).with_name("page.html")
WIDTH = 420  # units of the drawing; the page scales it to the room there is
MARKED = 40  # up to so many points each gets a mark
DPI = 144  # of pixels
CROWDED = 1000  # beyond so many a line gets thinner


DASHES = {"train": "-", "valid": "--", "test": "-", "ink": ":"}  # told apart without colour, too
# Any further curves, in matplotlib's own colours.
SERIES = dict(zip((f"C{number}" for number in range(10)), cycle(("-", "--", ":", "-."))))


class Curve(NamedTuple):
    """A line, and with `ci` a band of that half-width around it; nan leaves a gap. With `points`,
    marks and no line.
    """

    label: str
    colour: str  # a name in COLOURS, or in SERIES for a file
    x: list
    y: list
    ci: list | None = None
    points: bool = False


def plot(name: str, alt: str, curves: list[Curve], xlabel: str, height: int = 250) -> str:
    """Draw curves over the same axis as an `<svg>` element.

    Parameters
    ----------
    name : str
        A word that no other plot of the page has; its ids begin with it.
    alt : str
        What the plot says, for those who do not see it; HTML.
    curves : list of Curve
    xlabel : str
    height : int
        In the units in which the plot is `WIDTH` wide.
    """
    with matplotlib.rc_context({**_svg(name), **_style(COLOURS)}):
        figure = Figure(figsize=(WIDTH / 72, height / 72), layout="constrained")
        _fill(figure, figure.subplots(), curves, xlabel, height, COLOURS, columns=len(curves))
        file = io.StringIO()
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    return _inline(file.getvalue(), name, alt)


def picture(panels: list[tuple[str, list[Curve]]], xlabel: str, height: int = 250) -> np.ndarray:
    """Draw panels of the same curves beside each other, each under its title.

    Returns
    -------
    numpy.ndarray
        uint8 (rows, columns, 3).
    """
    colours = _light()
    with matplotlib.rc_context(_style(colours)):
        size = len(panels) * WIDTH / 72, height / 72
        figure = Figure(figsize=size, dpi=DPI, layout="constrained")
        canvas = FigureCanvasAgg(figure)
        every = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for axes, (title, curves) in zip(every, panels):
            columns = len(curves) if axes is every[0] else 0
            _fill(figure, axes, curves, xlabel, height, colours, columns)
            axes.set_title(title, fontsize="medium")
        canvas.draw()
        return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def save(file: Path, curves: list[Curve], xlabel: str, ylabel: str, height: int = 340) -> None:
    """Draw curves over the same axis into a file, whose name says its format: .svg or .png."""
    colours = {**_light(), **{name: name for name in SERIES}}
    with matplotlib.rc_context({**_svg(file.stem), **_style(colours)}):
        figure = Figure(figsize=(1.3 * WIDTH / 72, height / 72), dpi=DPI, layout="constrained")
        axes = figure.subplots()
        _fill(figure, axes, curves, xlabel, height, colours, columns=2)
        axes.set_ylabel(ylabel)
        undated = {"Date": None} if file.suffix == ".svg" else {}
        figure.savefig(file, metadata=undated)


def _fill(figure, axes, curves, xlabel, height, colours, columns) -> None:
    """Draw curves, with a legend of so many columns above all axes."""
    for curve in curves:
        _draw(axes, curve, colours[curve.colour])
    axes.set_xlabel(xlabel)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(height // 40, steps=[1, 2, 2.5, 5, 10]))
    if columns and len(curves) > 1:
        figure.legend(
            *axes.get_legend_handles_labels(),
            loc="outside upper left",
            ncols=columns,
            frameon=False,
            columnspacing=1.0,
            handlelength=1.5,
        )


def _svg(name) -> dict:
    return {"svg.fonttype": "none", "svg.hashsalt": name}


def _style(colours) -> dict:
    return {
        "font.size": 12,  # as in the page's CSS
        "text.color": colours["ink"],
        "axes.edgecolor": colours["muted"],
        "axes.labelcolor": colours["muted"],
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.formatter.use_mathtext": False,
        "axes.formatter.limits": (-4, 5),
        "axes.formatter.useoffset": False,
        "grid.color": colours["line"],
        "grid.linewidth": 0.8,
        "xtick.color": colours["muted"],
        "ytick.color": colours["muted"],
    }


def _light() -> dict:
    """The colours of the page's light scheme, which comes first."""
    scheme = TEMPLATE.read_text(encoding="utf-8").partition("}")[0]
    return dict(re.findall(r"--(\w+): (#\w{6})", scheme))


def _draw(axes, curve: Curve, colour: str) -> None:
    x, y = np.array(curve.x, float), np.array(curve.y, float)
    y[~np.isfinite(y)] = np.nan
    thin = curve.colour == "train"
    marked = curve.points or len(x) <= MARKED and not thin or len(x) == 1
    axes.plot(
        x,
        y,
        linestyle="none" if curve.points else {**DASHES, **SERIES}[curve.colour],
        marker="o" if marked else None,
        color=colour,
        linewidth=2 if not thin else 1.2 if len(x) <= CROWDED else 0.6,
        markersize=4,
        label=curve.label,
    )
    if curve.ci is not None:
        ci = np.array(curve.ci, float)
        axes.fill_between(x, y - ci, y + ci, color=colour, alpha=0.2, linewidth=0)


def _inline(svg: str, name: str, alt: str) -> str:
    """A file that matplotlib wrote as an element of a page."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<defs>\s*<style.*?</defs>", "", svg, flags=re.DOTALL)
    box = re.search(r'viewBox="[^"]*"', svg)[0]
    svg = re.sub(r"<svg.*?>", f'<svg {box} role="img" aria-label="{alt}">', svg, count=1)
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", svg)
    svg = re.sub(r"font(-size|-family)?: [^;\"]*;? ?", "", svg)
    svg = re.sub(r"\s*\n\s*", " ", svg)
    for variable, colour in COLOURS.items():
        svg = svg.replace(colour, f"var(--{variable})")
    return svg
