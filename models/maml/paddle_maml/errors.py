"""What a user can put right."""


class UserError(ValueError):
    """A mistake in a setting, a path or data; the message says what, where and what to do.

    `exit_code` is what a command-line tool ends with instead of showing a traceback.
    """

    exit_code = 2
