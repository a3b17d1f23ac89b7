"""Parts of a run: some of its instances and of the independent runs of each."""

from __future__ import annotations

from dataclasses import dataclass

from gpumc.checks import keep, shown, whole
from gpumc.errors import ConfigError


@dataclass(frozen=True)
class Part:
    """Some instances of a run and some of their chains, or starts, as half-open ranges: they get the same bits as in the whole."""

    instances: tuple[int, int]
    chains: tuple[int, int]

    def __post_init__(self) -> None:
        keep(self, instances=_range("part: instances", self.instances), chains=_range("part: chains", self.chains))

    @property
    def size(self) -> tuple[int, int]:
        return self.instances[1] - self.instances[0], self.chains[1] - self.chains[0]

    def halves(self) -> list[Part]:
        """Two parts that together are this one, of fewer chains or, where it has one, of fewer instances; none where it has one of each."""
        (i0, i1), (c0, c1) = self.instances, self.chains
        i, c = (i0 + i1) // 2, (c0 + c1) // 2
        if c > c0:
            return [Part(self.instances, (c0, c)), Part(self.instances, (c, c1))]
        return [Part((i0, i), self.chains), Part((i, i1), self.chains)] if i > i0 else []

    def within(self, run: Part) -> tuple[slice, slice]:
        """Its instances and chains, counted in that of a ``run``."""
        i, c = run.instances[0], run.chains[0]
        return slice(self.instances[0] - i, self.instances[1] - i), slice(self.chains[0] - c, self.chains[1] - c)

    def overlaps(self, other: Part) -> bool:
        """Whether a chain of an instance is in both."""
        return all(
            a < d and c < b for (a, b), (c, d) in ((self.instances, other.instances), (self.chains, other.chains))
        )

    def check(self, instances: int, chains: int) -> None:
        """Raise ConfigError where a run has fewer ``instances`` or ``chains``."""
        for name, (_, last), most in (("instances", self.instances, instances), ("chains", self.chains, chains)):
            if last > most:
                raise ConfigError(f"part: {name} go to {last}, and the run has {most}")


def _range(name: str, ends: object) -> tuple[int, int]:
    if not isinstance(ends, (tuple, list)) or len(ends) != 2:
        raise ConfigError(f"{name} = {shown(ends)}: the first, and one past the last, are needed, such as (0, 4)")
    first = whole(name, ends[0], 0)
    return first, whole(name, ends[1], first + 1)
