"""What a user can put right."""


class UserError(ValueError):
    """A mistake in a setting, a path or data; the message says what, where and what to do.

    It is one line without control characters, whatever a file or a library put into it.

    `exit_code` is what a command-line tool ends with instead of showing a traceback.
    """

    exit_code = 2

    def __init__(self, message: str):
        message = " ".join(line.strip() for line in message.splitlines())
        super().__init__("".join(c if c.isprintable() else repr(c)[1:-1] for c in message))


class DivergenceError(UserError):
    """A training met a number that is not finite; what it has saved before is sound."""

    diverged = True  # for the trainer to name what it has saved
