"""``python -m gpumc``: the command `gpumc`."""

from gpumc.cli import main

main()
