"""What ends a run that was asked to stop; in a module of its own, which loads no torch."""


class Stopped(KeyboardInterrupt):
    """This process was asked to end by SIGTERM, and does as for Ctrl-C; training has left a checkpoint."""
