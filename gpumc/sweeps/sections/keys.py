"""Tables of a config: what a section is, sections made from dataclasses, and sections that are chosen by their ``kind``."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from typing import Annotated, Any, Self, TypeVar, get_type_hints

from pydantic import (
    BaseModel,
    ConfigDict,
    ModelWrapValidatorHandler,
    ValidationError,
    WrapValidator,
    create_model,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from gpumc.errors import ConfigError

T = TypeVar("T")
S = TypeVar("S", bound="Section")


def wanted(words: str) -> WrapValidator:
    """What a value must be, in words, in the place of what pydantic says of each alternative; sentences of a check stay."""

    def check(value: Any, inner: Callable[[Any], Any]) -> Any:
        try:
            return inner(value)
        except ValidationError as error:
            if all(mistake["type"] == "value_error" for mistake in error.errors()):
                raise
            raise PydanticCustomError("wanted", "{words}", {"words": words}) from None

    return WrapValidator(check)


#: What fields of a dataclass take; all else, such as texts with their choices, is checked by the dataclass itself.
VALUES: dict[Any, Any] = {
    int: Annotated[int, wanted("a whole number")],
    float: Annotated[float, wanted("a number")],
    bool: Annotated[bool, wanted("true or false")],
}


class Section(BaseModel):
    """A table of a config. A key that it does not have is a mistake beside all others, and says which keys there are."""

    model_config = ConfigDict(frozen=True, strict=True, protected_namespaces=())

    @model_validator(mode="wrap")
    @classmethod
    def _of_its_keys(cls, table: Any, check: ModelWrapValidatorHandler[Self]) -> Self:
        _check_table(table)
        keys = cls.model_fields
        mistakes = [_mistake("unknown", key, table[key], list(keys)) for key in table if key not in keys]

        own = {key: value for key, value in table.items() if key in keys}
        return _gathered(mistakes, lambda: check(own).agreeing(), table)

    def agreeing(self) -> Self:
        """The section itself. Raises ConfigError where keys that are right by themselves contradict each other."""
        return self

    @property
    def given(self) -> dict[str, Any]:
        """The values that the table has, but its kind."""
        return {
            name: getattr(self, name) for name in type(self).model_fields if name in self.model_fields_set - {"kind"}
        }


class SectionOfAKind(Section):
    """A section that was chosen by its ``kind``."""

    kind: Any


def section_of(described: type, types: Mapping[str, Any], base: type[S]) -> type[S]:
    """A section whose keys are those of ``base`` and the fields of a dataclass.

    A field takes what its annotation says, or ``types`` where annotations do not say all.
    """
    try:
        annotations = get_type_hints(described)
    except Exception:  # names in a user's annotations that are not there
        annotations = {}
    keys: dict[str, Any] = {}
    for field in fields(described) if is_dataclass(described) else ():
        if field.init and not field.name.startswith("_"):
            needed = field.default is MISSING and field.default_factory is MISSING
            value = types.get(field.name) or VALUES.get(annotations.get(field.name), Any)
            keys[field.name] = (value, ... if needed else None)
    with warnings.catch_warnings(action="ignore"):  # of names that pydantic's own models have
        return create_model(described.__name__, __base__=base, **keys)


def by_kind(
    section_at: Callable[[Any], type[Section]],
    kinds: Collection[str],
    made: Callable[[Any], Any] = lambda section: section,
) -> Callable[[Any], Any]:
    """The function from a table to what ``made`` makes of the section that its ``kind`` chooses.

    ``section_at`` raises ConfigError for a kind that there is not; keys that only others of the ``kinds`` have are told as such.
    """

    def chosen(table: Any) -> Any:
        _check_table(table)
        kind = table.get("kind")
        try:
            section = section_at(kind)
        except ConfigError as error:
            wrong = _told(error, kind, "kind") if "kind" in table else _mistake("missing", "kind", table)
            _gathered([wrong], lambda: _meant(kind, section_at, kinds).model_validate({"kind": kind} | table), table)
        elsewhere = {key for other in kinds for key in section_at(other).model_fields} - set(section.model_fields)
        mistakes = [_mistake("unfit", key, kind) for key in table if key in elsewhere]
        own = {key: value for key, value in table.items() if key not in elsewhere}
        return _gathered(mistakes, lambda: made(section.model_validate(own)), table)

    return chosen


def _meant(kind: Any, section_at: Callable[[Any], type[Section]], kinds: Collection[str]) -> type[Section]:
    """The section that a wrong ``kind`` may have meant; where nothing is near, one that takes anything for the keys of all."""
    for near in difflib.get_close_matches(str(kind)[:80], kinds, n=1):
        return section_at(near)
    keys: dict[str, Any] = {key: (Any, None) for other in kinds for key in section_at(other).model_fields}
    return create_model("Any", __base__=Section, **keys)


def _gathered(mistakes: list[InitErrorDetails], check: Callable[[], T], table: Any) -> T:
    """What ``check`` returns. Raises ValidationError for these ``mistakes`` and all that it finds."""
    try:
        found = check()
    except ValidationError as error:
        again = [
            InitErrorDetails(
                type=PydanticCustomError(e["type"], e["type"], e.get("ctx", {})),
                loc=e["loc"],
                input=e["input"],
            )
            for e in error.errors()
        ]
        raise ValidationError.from_exception_data("config", [*mistakes, *again]) from None
    except ConfigError as error:
        raise ValidationError.from_exception_data("config", [*mistakes, _told(error, table)]) from None
    if mistakes:
        raise ValidationError.from_exception_data("config", mistakes)
    return found


def _check_table(table: Any) -> None:
    if not isinstance(table, dict):
        raise PydanticCustomError("wanted", "{words}", {"words": "a table"})


def _mistake(kind: str, key: str, found: Any, allowed: Sequence[str] = ()) -> InitErrorDetails:
    """A mistake that `explanations.explained` has words for."""
    return InitErrorDetails(type=PydanticCustomError(kind, kind, {"allowed": allowed}), loc=(key,), input=found)


def _told(error: ConfigError, found: Any, *place: str) -> InitErrorDetails:
    """What a check has found, at a place."""
    return InitErrorDetails(
        type=PydanticCustomError("value_error", "value_error", {"error": error}), loc=place, input=found
    )
