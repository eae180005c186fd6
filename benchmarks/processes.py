"""Time per meta-step by number of processes: python benchmarks/processes.py -m config.yaml

Trains a hundred meta-steps with each number of processes in turn, several rounds, and prints the
milliseconds per step between the 21st and the 101st, as history.jsonl has them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

TRAINER = Path(__file__).resolve().parents[1] / "tools/trainer.py"
FIRST, LAST = 21, 101


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-m", dest="config", required=True, help="the YAML configuration")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    times = {count: [] for count in arguments.processes}
    for _ in range(arguments.rounds):
        for count in times:
            times[count].append(milliseconds(arguments.config, count))
    base = statistics.median(next(iter(times.values())))
    print("| processes | median ms per step | least | most | relative |")
    print("|---|---|---|---|---|")
    for count, values in times.items():
        median = statistics.median(values)
        spread = f"{min(values):.0f} | {max(values):.0f}"
        print(f"| {count} | {median:.0f} | {spread} | {median / base:.2f} |")


def milliseconds(config: str, processes: int) -> float:
    """Train 101 meta-steps and return the milliseconds of one."""
    batch = yaml.safe_load(Path(config).read_text(encoding="utf-8"))["runner"]["train_batch_size"]
    with tempfile.TemporaryDirectory() as output:
        settings = [
            f"runner.processes={processes}",
            f"runner.model_save_path={output}",
            f"hyper_parameters.tasks_per_epoch={LAST * batch}",
            "runner.epochs=1",
            "runner.valid_tasks=2",
            "runner.print_interval=20",
            "runner.save_seconds=0",
        ]
        command = [sys.executable, str(TRAINER), "-m", config, "-o", *settings]
        subprocess.run(command, check=True, capture_output=True)
        lines = (Path(output) / "history.jsonl").read_text().splitlines()
    steps = {line["step"]: line["seconds"] for line in map(json.loads, lines)}
    return 1000 * (steps[LAST] - steps[FIRST]) / (LAST - FIRST)


if __name__ == "__main__":
    main()
