"""Which of Paddle's functions and layers can be differentiated twice, alone and with paddle_maml.

    python benchmarks/double_gradients.py measure FILE [--only PATTERN]
    python benchmarks/double_gradients.py write FILE [FILE ...]

The first measures with the Paddle at hand, each derivative in a process of its own, since some end
it, and keeps the results as JSON. The second writes docs/double-gradients.md from those of several
versions. What is differentiated, and how, is in tests/cases and tests/mixed_derivatives.py.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import select
import signal
import sys
import warnings
from collections import Counter
from contextlib import nullcontext
from pathlib import Path

import paddle

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "models/maml"), str(ROOT / "tests")]
from cases import FAMILIES, cases  # noqa: E402
from mixed_derivatives import assert_derivatives, doubles, settings  # noqa: E402
from paddle_maml import twice_differentiable  # noqa: E402
from paddle_maml.impossible import WAYS_OUT  # noqa: E402

DOCUMENT = ROOT / "docs/double-gradients.md"
CONTEXTS = {"alone": nullcontext, "with paddle_maml": twice_differentiable}
# From what is best to what is worst; a row is as good as the worst of its derivatives.
VERDICTS = "exact", "refused", "not on the CPU", "no double gradient", "wrong", "crashes"
EXACT, REFUSED, NO_KERNEL, NONE, WRONG, CRASHES = VERDICTS
SECONDS = 60  # a process that takes longer hangs


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    measuring = commands.add_parser("measure")
    measuring.add_argument("file", type=Path)
    measuring.add_argument("--only", default="", metavar="PATTERN")
    writing = commands.add_parser("write")
    writing.add_argument("files", type=Path, nargs="+")
    arguments = parser.parse_args()
    if arguments.command == "measure":
        arguments.file.write_text(json.dumps(measure(arguments.only), indent=1))
    else:
        results = [json.loads(file.read_text()) for file in arguments.files]
        DOCUMENT.write_text(document(sorted(results, key=lambda result: result["paddle"])))


def measure(only: str = "") -> dict:
    """The Paddle version, and by family, code and context how many derivatives are how good."""
    found = {family: {} for family in FAMILIES}
    for case in cases():
        if re.search(only, case.code):
            found[case.family][case.code] = {
                name: Counter(_apart(case, setting, context) for setting in settings(case.inputs))
                for name, context in CONTEXTS.items()
            }
    return {"paddle": paddle.__version__, "found": found}


def _apart(case, setting, context) -> str:
    """`verdict`, from a process of its own."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
        os.write(write, verdict(case, setting, context).encode())
        os._exit(0)
    os.close(write)
    if not select.select([read], [], [], SECONDS)[0]:
        os.kill(child, signal.SIGKILL)
    answer = os.read(read, 100).decode()
    os.close(read)
    os.waitpid(child, 0)
    return answer or CRASHES


def verdict(case, setting, context) -> str:
    """How good the derivatives of a case are, computed in `context`."""

    def forward(*inputs):
        with context():
            return case.function(*inputs)

    try:
        with doubles(), paddle.no_grad():
            forward(*(paddle.to_tensor(x) for x in case.inputs.values()))
    except Exception:
        return NO_KERNEL
    try:
        assert_derivatives(forward, case.inputs, setting)
    except AssertionError:
        return WRONG
    except NotImplementedError:
        return REFUSED
    except Exception:
        return NONE
    return EXACT


def document(results: list[dict]) -> str:
    columns = [(result["found"], context) for result in results for context in CONTEXTS]
    heads = ["", *(f"{result['paddle']} {context}" for result in results for context in CONTEXTS)]
    counts = [Counter(_worst(cells[name]) for cells in _cells(found)) for found, name in columns]
    numbers = [[verdict, *(count[verdict] for count in counts)] for verdict in VERDICTS]
    parts = [_INTRODUCTION, _table(heads, numbers)]
    for family in FAMILIES:
        codes = dict.fromkeys(code for found, _ in columns for code in found[family])
        rows = [
            [f"`{code}`", *(_cell(found[family].get(code), context) for found, context in columns)]
            for code in codes
        ]
        parts.append(f"## {family.capitalize()}\n\n{_table(heads, rows)}")
    ways = [[f"`{name}`", way] for name, way in WAYS_OUT.items()]
    parts.append(f"## What is refused\n\n{_table(['operator', 'the way out'], ways)}")
    return "\n\n".join(parts) + "\n"


def _cells(found: dict) -> list:
    return [cells for family in found.values() for cells in family.values()]


def _worst(counts: dict) -> str:
    return max(counts, key=VERDICTS.index)


def _cell(cells, context) -> str:
    """The worst verdict, and in how many derivatives; a dash if the version lacks the function."""
    if cells is None:
        return "-"
    worst, total = _worst(cells[context]), sum(cells[context].values())
    count = cells[context][worst]
    return worst if count == total else f"{worst} in {count} of {total}"


def _table(head, rows) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


_INTRODUCTION = """\
# Double gradients

Which functions and layers can be differentiated twice, on Paddle alone and inside
`paddle_maml.twice_differentiable()`. CPU, float64; written by `benchmarks/double_gradients.py`.

A row is a piece of code. Its variables in lower case are differentiated, as are a layer's
parameters; names in capitals are constants (`tests/cases`). Each row is differentiated in several
settings: in all inputs, and in each alone, the others being constants or followed by autograd; with
a loss that is linear in the output or curved. First and second derivatives are held to central
differences (relative 1e-6).

- exact: all are right.
- wrong: a number comes out without an error, and it is another one, or zero.
- no double gradient: Paddle raises an error.
- crashes: the process ends, or hangs.
- not on the CPU: Paddle has no kernel for it there, in float64.
- refused: `paddle_maml` says at the first forward that it cannot, and the way out.

[`MAML.check`](api.md#mamlcheck) says of a network and its loss whether all is right in them.

The worst is given, and in how many of the settings if not in all. The numbers of rows:"""

if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    main()
