"""Mistakes that a user can put right end a tool with one sentence and exit code 2."""

from __future__ import annotations

import os
import sys
from pathlib import Path


class UserError(Exception):
    """The message says what is wrong, where, and what to do."""

    exit_code = 2


def run(main) -> None:
    """Run a tool's `main` and leave the process as a command should.

    Model directories may raise errors of their own: whatever carries an `exit_code` is a user's
    mistake, shown without a traceback.
    """
    name = Path(sys.argv[0]).name
    try:
        main()
    except KeyboardInterrupt:
        print(f"{name}: interrupted", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:  # as of `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except Exception as error:
        if not hasattr(error, "exit_code"):
            raise
        print(f"{name}: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
