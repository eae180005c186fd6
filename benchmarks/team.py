"""The processes of one worker, from the outside: started, asked, listened to."""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import asdict, replace

from job import Job


class Failed(Exception):
    """A worker has no answer; the message is the reason."""


class Team:
    """A worker's processes, each of which waits for its stdin while other workers compute.

    Parameters
    ----------
    command : list of str
        The interpreter, the script and its arguments but for the job.
    job : Job
        Its `processes` is how many to start.
    environment : dict
        Variables to add to this process's.
    limit : float
        Seconds for an answer.
    """

    def __init__(self, command: list[str], job: Job, environment: dict, limit: float):
        self.limit = limit
        self.errors = [tempfile.TemporaryFile("w+") for _ in range(job.processes)]
        port = free_port()
        self.processes = [
            subprocess.Popen(
                [*command, json.dumps(asdict(replace(job, rank=rank, port=port)))],
                env=os.environ | environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
            for rank, errors in enumerate(self.errors)
        ]

    def ask(self, command: str) -> list[dict]:
        """Send a command to all processes and return their answers."""
        for rank, process in enumerate(self.processes):
            try:
                print(command, file=process.stdin, flush=True)
            except BrokenPipeError:
                self._fail(rank)
        return self.answers()

    def answers(self) -> list[dict]:
        """What each process says next: to a command, or that it is ready.

        Raises
        ------
        Failed
            If a process ends or the time is over. The team is then closed.
        """
        found, waiting = {}, selectors.DefaultSelector()
        for rank, process in enumerate(self.processes):
            waiting.register(process.stdout, selectors.EVENT_READ, rank)
        deadline = time.monotonic() + self.limit
        while waiting.get_map():
            ready = waiting.select(max(0, deadline - time.monotonic()))
            if not ready:
                self.close()
                raise Failed(f"no answer in {self.limit:.0f} s")
            for key, _ in ready:
                line = key.fileobj.readline()
                if not line:
                    self._fail(key.data)
                found[key.data] = json.loads(line)
                waiting.unregister(key.fileobj)
        return [found[rank] for rank in range(len(self.processes))]

    def close(self) -> None:
        """End the processes."""
        for process in self.processes:
            process.kill()
            process.communicate()

    def _fail(self, rank: int):
        code = self.processes[rank].wait()
        self.close()
        if code < 0:
            raise Failed(f"killed by {signal.Signals(-code).name}")
        self.errors[rank].seek(0)
        lines = [line.strip() for line in self.errors[rank] if line.strip()]
        raise Failed(lines[-1] if lines else f"ended with exit code {code}")


def free_port() -> int:
    """A TCP port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
