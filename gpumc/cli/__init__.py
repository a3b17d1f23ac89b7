"""The command line: thin, and quick to say --help; what a command needs is imported inside it."""

from gpumc.cli.edge import main

__all__ = ["main"]
