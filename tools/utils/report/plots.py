"""Plots as SVG to stand within a page, whose CSS gives them their font and, by scheme, colours."""

from __future__ import annotations

import io
import re
from typing import NamedTuple

import matplotlib
import numpy as np
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
WIDTH = 420  # units of the drawing; the page scales it to the room there is
MARKED = 40  # up to so many points each gets a mark
CROWDED = 1000  # beyond so many a line gets thinner


DASHES = {"train": "-", "valid": "--", "test": "-"}  # told apart without colour, too


class Curve(NamedTuple):
    """A line, and with `ci` a band of that half-width around it; nan leaves a gap."""

    label: str
    colour: str  # a name in COLOURS
    x: list
    y: list
    ci: list | None = None


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
    with matplotlib.rc_context(_style(name)):
        figure = Figure(figsize=(WIDTH / 72, height / 72), layout="constrained")
        axes = figure.subplots()
        for curve in curves:
            _draw(axes, curve)
        axes.set_xlabel(xlabel)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(height // 40, steps=[1, 2, 2.5, 5, 10]))
        if len(curves) > 1:
            figure.legend(loc="outside upper left", ncols=len(curves), frameon=False)
        file = io.StringIO()
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    return _inline(file.getvalue(), name, alt)


def _style(name) -> dict:
    return {
        "svg.fonttype": "none",
        "svg.hashsalt": name,
        "font.size": 12,  # as in the page's CSS
        "text.color": COLOURS["ink"],
        "axes.edgecolor": COLOURS["muted"],
        "axes.labelcolor": COLOURS["muted"],
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.formatter.use_mathtext": False,
        "axes.formatter.limits": (-4, 5),
        "axes.formatter.useoffset": False,
        "grid.color": COLOURS["line"],
        "grid.linewidth": 0.8,
        "xtick.color": COLOURS["muted"],
        "ytick.color": COLOURS["muted"],
    }


def _draw(axes, curve: Curve) -> None:
    x, y = np.array(curve.x, float), np.array(curve.y, float)
    y[~np.isfinite(y)] = np.nan
    thin = curve.colour == "train"
    marked = len(x) <= MARKED and not thin or len(x) == 1
    colour = COLOURS[curve.colour]
    axes.plot(
        x,
        y,
        DASHES[curve.colour],
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
