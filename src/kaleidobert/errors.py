"""The exception for errors that a user can correct."""


class InputError(ValueError):
    """Unusable input. The message is one line: what is wrong, where, and what to do about it.

    The command line prints the message and exits with code 2; library callers may catch a ``ValueError``.
    """


class StoreError(InputError):
    """A store that is damaged or gone, which the clients of a service cannot correct."""


def reason_of(error: Exception) -> str:
    """What an error says, in one line; of a ``KeyError``, which says the key alone, what is missing."""
    return f"it has no {error}" if isinstance(error, KeyError) else " ".join(str(error).split())
