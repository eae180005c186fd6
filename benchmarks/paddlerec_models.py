"""PaddleRec's models under both tool sets: python benchmarks/paddlerec_models.py CHECKOUT

In a copy of each model directory, trains and infers with PaddleRec's own tools and then with this
project's, and prints what differs. Where they differ, PaddleRec's run once more: what its own two
runs do not share is no difference between the tools.

PaddleRec's tools need six, and its maml opencv-python-headless.
"""

from __future__ import annotations

import argparse
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import paddle
import yaml

TOOLS = Path(__file__).resolve().parents[1] / "tools"
MODELS = (
    *("rank/dnn", "rank/deepfm", "rank/fm", "rank/wide_deep", "rank/dcn"),
    *("multitask/mmoe", "multitask/share_bottom", "multitask/ple", "multitask/esmm"),
    *("multitask/maml", "recall/ncf", "recall/word2vec", "match/dssm"),
)
# PaddleRec's maml asks for a GPU, and its epoch always has 3200 tasks: one inner step, and strides
# that still end at a single pixel, let it end within minutes on the CPU.
OVERRIDES = {
    "multitask/maml": (
        *("runner.use_gpu=False", "hyper_parameters.update_step=1"),
        *("hyper_parameters.conv_stride=2", "hyper_parameters.conv_padding=2"),
    )
}
# Runs a script as it is, but with its logger's level set: under paddle 2.6, which sets up logging
# when it is imported, PaddleRec's infer says nothing.
ALOUD = """
import logging, os, runpy, sys
logging.getLogger("__main__").setLevel(logging.INFO)
del sys.argv[0]
sys.path[0] = os.path.dirname(os.path.abspath(sys.argv[0]))
runpy.run_path(sys.argv[0], run_name="__main__")
"""
LINE = re.compile(
    r" - ((?:infer )?epoch: \d+(?:, batch_id:| done).*?(?:ins/s|epoch time:? ?[\d.]+ s))$",
    re.DOTALL | re.MULTILINE,
)
TIME = re.compile(r"(cost: |ips: |speed: |epoch time:? ?)[\d.]+")
AFTER_METRICS = re.compile(r",[ :]*(?:avg_reader_cost|speed|epoch time).*")
SAME = "same bytes"
# PaddleRec's trainer leaves none of these.
OWN_FILES = {"history.jsonl", "run.json", "training.json", "SHA256SUMS", ".lock"}
VERDICT = (
    *("model", "training's lines", "parameters", "files", "infer's lines, same parameters"),
    "PaddleRec's own two runs",
)


class Run(NamedTuple):
    """The log lines of a tool without their times, and how it ended if not well."""

    lines: list[str]
    failure: str = ""

    @property
    def last(self) -> str:
        """What the last line says up to the metrics."""
        line = " ".join(self.lines[-1].split()) if self.lines else ""
        return "; ".join(filter(None, (AFTER_METRICS.sub("", line), self.failure)))

    def retried(self, second: Run) -> Run:
        """The second try, which tells of the first."""
        told = f"{second.failure or 'done'} at the second try, at the first {self.failure}"
        return Run(second.lines, told)


class Side(NamedTuple):
    """A training, the files it left, where its checkpoints are now, and what was inferred."""

    training: Run
    left: set[str]
    saved: Path
    inferred: list[Run]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkout", type=Path, help="a directory with PaddleRec's source")
    parser.add_argument("--only", nargs="+", choices=MODELS, default=MODELS, metavar="MODEL")
    parser.add_argument("--limit", type=int, default=1200, help="seconds for each run of a tool")
    parser.add_argument("--dense", action="store_true", help="use_sparse = False in each net.py")
    arguments = parser.parse_args()
    print(f"paddlepaddle {paddle.__version__}, numpy {np.__version__}, Python", end=" ")
    print(f"{platform.python_version()}\n\n| {' | '.join(VERDICT)} |")
    print(f"|{len(VERDICT) * '---|'}", flush=True)
    last_lines = []
    for model in arguments.only:
        with tempfile.TemporaryDirectory() as place:
            copy(arguments.checkout, model, Path(place), arguments.dense)
            verdict, lines = compare(model, Path(place), arguments.limit)
        print(f"| {model} | {' | '.join(verdict)} |", flush=True)
        last_lines += lines
    print("\n| model | | PaddleRec's last line | last line here |\n|---|---|---|---|")
    print(*(f"| {' | '.join(line)} |" for line in last_lines), sep="\n")
    for model in filter(OVERRIDES.get, arguments.only):
        print(f"\n{model} with `-o {' '.join(OVERRIDES[model])}`.")


def copy(checkout: Path, model: str, place: Path, dense: bool) -> None:
    """Copy PaddleRec's tools and a model directory to `place`."""
    for part in ("tools", f"models/{model}"):
        shutil.copytree(checkout / part, place / part)
    if dense:
        net = place / "models" / model / "net.py"
        net.write_text(net.read_text().replace("use_sparse = True", "use_sparse = False"))


def compare(model: str, place: Path, limit: int) -> tuple[list[str], list[list[str]]]:
    """What is equal of a model, and the last lines of both sides."""
    paddlerecs = place / "tools"

    def side(name, trainer, *infers) -> Side:
        return use(model, place, trainer, infers, place / name, limit)

    theirs = side("theirs", paddlerecs, paddlerecs, TOOLS, paddlerecs)
    ours = side("ours", TOOLS, TOOLS)
    parameters = difference(ours.saved, theirs.saved)
    inferred, inferred_here, inferred_again = theirs.inferred
    nature = []
    if parameters != SAME or ours.training.lines != theirs.training.lines:
        again = side("again", paddlerecs)
        nature += [agreement(again.training, theirs.training), again.training.failure]
        nature += [f"parameters {difference(again.saved, theirs.saved)}"]
    if inferred_here.lines != inferred.lines:
        nature += [f"infer: {agreement(inferred_again, inferred)}"]
    verdict = [
        agreement(ours.training, theirs.training),
        parameters,
        files(ours.left, theirs.left),
        agreement(inferred_here, inferred),
        "; ".join(filter(None, nature)),
    ]
    return verdict, [
        [model, "training", theirs.training.last, ours.training.last],
        ["", "infer", inferred.last, ours.inferred[0].last],
    ]


def use(model, place, trainer, infers, saved, limit) -> Side:
    """Train in a model directory, infer there, and move the checkpoints to `saved`.

    The directory serves all sides, as its readers list files in the order of the file system.
    """
    directory = place / "models" / model
    config = yaml.safe_load((directory / "config.yaml").read_text(encoding="utf-8"))
    output = directory / config["runner"]["model_save_path"]
    command = ["-m", "config.yaml", *(["-o", *OVERRIDES[model]] if model in OVERRIDES else [])]
    before = tree(directory)
    training = run([trainer / "trainer.py", *command], directory, limit)
    if training.failure:
        shutil.rmtree(output, ignore_errors=True)
        training = training.retried(run([trainer / "trainer.py", *command], directory, limit))
    left = tree(directory) - before
    inferred = []
    for tools in infers:
        own = directory / "infer.py"  # word2vec is inferred by a script of its own
        script = own if own.is_file() else tools / "infer.py"
        result = run([script, *command], directory, limit)
        if result.failure:
            result = result.retried(run([script, *command], directory, limit))
        inferred.append(result)
    if output.is_dir():
        output.rename(saved)
    return Side(training, left, saved, inferred)


def run(command: list, directory: Path, limit: int) -> Run:
    """Run a script for at most `limit` seconds."""
    wrapper = [] if command[0].is_relative_to(TOOLS) else ["-c", ALOUD]
    failure = ""
    with tempfile.TemporaryFile("w+", encoding="utf-8") as log:
        try:
            done = subprocess.run(
                [sys.executable, "-u", *wrapper, *command],
                cwd=directory,
                stdout=log,
                stderr=subprocess.STDOUT,
                timeout=limit,
            )
        except subprocess.TimeoutExpired:
            failure = f"stopped after {limit} s"
        log.seek(0)
        text = log.read().replace(f"{directory}/", "")
    if not failure and done.returncode:
        failure = text.strip().splitlines()[-1]
    return Run([TIME.sub(r"\1", line) for line in LINE.findall(text)], failure)


def tree(directory: Path) -> set[str]:
    """The files below a directory, but for Python's own."""
    files = {str(p.relative_to(directory)) for p in directory.rglob("*") if p.is_file()}
    return {name for name in files if "__pycache__" not in name}


def agreement(ours: Run, theirs: Run) -> str:
    """How many lines are equal from the first on."""
    equal = list(takewhile(lambda pair: pair[0] == pair[1], zip(ours.lines, theirs.lines)))
    most = max(len(ours.lines), len(theirs.lines))
    return f"all {most}" if len(equal) == most else f"first {len(equal)} of {most}"


def files(ours: set[str], theirs: set[str]) -> str:
    """Whether all files of PaddleRec's trainer are there, and how many besides."""
    missing = theirs - ours
    besides = sum(Path(name).name not in OWN_FILES for name in ours - theirs)
    told = f"no {', '.join(sorted(missing))}" if missing else f"all {len(theirs)}"
    return f"{told}, {besides} besides" if besides else told


def difference(ours: Path, theirs: Path) -> str:
    """Whether all checkpoints are the same bytes, or else how far their parameters lie apart."""
    saved = sorted(path.relative_to(theirs) for path in theirs.rglob("rec.pd*"))
    if not saved or not all((ours / name).is_file() for name in saved):
        return "not all saved"
    if all((ours / name).read_bytes() == (theirs / name).read_bytes() for name in saved):
        return SAME
    states = [
        [paddle.load(str(side / name)) for side in (ours, theirs)]
        for name in saved
        if name.suffix == ".pdparams"
    ]
    apart = np.max(
        [
            np.abs(one[name].numpy() - other[name].numpy()).max()
            for one, other in states
            for name in other
            if hasattr(other[name], "numpy")
        ]
    )
    return f"within {apart:.1e}" if np.isfinite(apart) else "NaN among them"


if __name__ == "__main__":
    main()
