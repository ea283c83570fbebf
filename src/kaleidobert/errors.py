"""The one exception a user is meant to see."""


class InputError(ValueError):
    """Input that cannot be used. The message is one line: what, where, and what to do about it.

    The command line prints it and exits with code 2; library callers may catch it as a ``ValueError``.
    """
