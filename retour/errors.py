"""The one exception that the command line shows as a plain message."""


class RetourError(Exception):
    """What happened, where, and what to do; shown without a traceback."""
