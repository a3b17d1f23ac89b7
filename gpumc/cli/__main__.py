"""``python -m gpumc.cli``."""

from gpumc.cli import main

main()
