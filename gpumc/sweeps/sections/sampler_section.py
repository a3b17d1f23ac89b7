"""The section ``[sampler]`` of a config: a sampler with its settings, and how long it runs."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ValidationInfo, create_model

from gpumc.errors import ConfigError
from gpumc.sampling.samplers import SAMPLERS, Sampler
from gpumc.sweeps.sections.keys import Section
from gpumc.sweeps.sections.values import Whole, WholeOrZero


def _setting(value: Any, info: ValidationInfo) -> Any:
    """A setting of the sampler of the section's kind."""
    if "kind" not in info.data or value is None:  # a kind that there is not is told by itself
        return value
    name, kind = str(info.field_name), info.data["kind"]
    if kind is None:
        takers = [repr(sampler.kind) for sampler in SAMPLERS.values() if name in sampler.settings()]
        raise ValueError(f"a kind is needed beside it, {' or '.join(takers)}")
    if name not in SAMPLERS[kind].settings():
        raise ValueError(f"no meaning for the sampler '{kind}', leave it out")
    SAMPLERS[kind](**{name: value})
    return value


#: ``kind`` and the settings of all samplers.
_FIELDS: dict[str, Any] = {"kind": (Literal[tuple(SAMPLERS)] | None, None)} | {
    name: (Annotated[Any, AfterValidator(_setting)], None) for kind in SAMPLERS.values() for name in kind.settings()
}
_Samplers = create_model("_Samplers", __base__=Section, **_FIELDS)


class SamplerSection(_Samplers):  # type: ignore[misc, valid-type]
    """``[sampler]``"""

    chains: Whole
    burn_in: WholeOrZero
    sweeps: Whole
    every: Whole = 1

    def agreeing(self) -> SamplerSection:
        """See `Section`."""
        if self.every > self.sweeps:
            raise ConfigError(f"every = {self.every} is more than sweeps = {self.sweeps}: nothing would be recorded")
        return self

    @property
    def sampler(self) -> Sampler | None:
        """The sampler with its settings; None where the default is taken."""
        if self.kind is None:
            return None
        kind = SAMPLERS[self.kind]
        given = {name: getattr(self, name) for name in kind.settings()}
        return kind(**{name: value for name, value in given.items() if value is not None})
