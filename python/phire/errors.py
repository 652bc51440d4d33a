"""Exceptions that console commands print as one sentence."""


class InputError(ValueError):
    """A mistake that the user can mend: a file, an option or data that do not fit.

    The message is one sentence that names the file or option, what was found and what to do.
    Console commands print it and end with status 2.
    """


class WorkError(RuntimeError):
    """Work that began in good order and could not be ended: a worker lost, a loss not finite.

    Console commands print the message and end with status 1.
    """
