"""Configs as users write them: small ones that are right, and ways to spoil them.

A new section or key goes into ``right``, a new kind of mistake into ``SPOILS``; every test that draws from ``cases`` then has it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

import gpumc
from tests.variants import FREE, SPHERICAL, TINY


@dataclass(frozen=True)
class Raw:
    """A value as it stands in the file."""

    text: str


@dataclass(frozen=True)
class Case:
    """The bytes of a config, what ``--set`` overrides, and whether nothing is wrong with it."""

    content: bytes
    overrides: list[str] = field(default_factory=list)
    right: bool = False


def toml(table: dict[str, Any]) -> str:
    """Tables as TOML, with any key and any value of ours in them."""
    plain = {key: value for key, value in table.items() if not (isinstance(value, dict) and value)}
    lines = [f"{_key(key)} = {_value(value)}" for key, value in plain.items()]
    for name, section in table.items():
        if name not in plain:
            lines += [f"[{_key(name)}]", *(f"{_key(key)} = {_value(value)}" for key, value in section.items())]
    return "\n".join(lines) + "\n"


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _text(key)


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _value(value: Any) -> str:
    if isinstance(value, Raw):
        return value.text
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_key(key)} = {_value(one)}' for key, one in value.items())}}}"
    return repr(value)


def _table(machine: gpumc.machines.Machine) -> dict[str, Any]:
    """The section of ``machine``, without its defaults."""
    values = {field.name: (getattr(machine, field.name), field.default) for field in dataclasses.fields(machine)}
    given = {name: value for name, (value, default) in values.items() if value != default}
    return {"kind": machine.kind} | {name: list(v) if isinstance(v, tuple) else v for name, v in given.items()}


#: A run of each takes milliseconds.
MACHINES = ({"kind": "perceptron", "n": [5, 9]}, *map(_table, TINY + SPHERICAL + FREE))
ALPHAS = (0.5, 1, [0.4, 0.8], {"start": 0.3, "stop": 0.6, "num": 2})
LOSSES = (
    {"kind": "error-count"},
    {"kind": "cross-entropy"},
    {"kind": "cross-entropy", "gamma": [0.5, 2]},
    {"kind": "squared-hinge", "margin": 0.1},
)
MEASURES = (
    {"beta": 1},
    {"beta": [0.5, 1.5]},
    {"beta": {"start": 0.5, "stop": 2.0, "over": "run"}},
    {"beta": {"start": 0.5, "stop": 2.0, "num": 2}},
    {"beta": 1.0, "replicas": 2, "coupling": 0.3},
    {"beta": 1.0, "replicas": [1, 3], "coupling": {"start": 0.1, "stop": 1.0, "scale": "geometric"}},
    {"beta": 2.0, "replicas": 3, "coupling": [0.2, 0.4], "centre": "traced"},
)
LEARNERS = (
    {"kind": "least-action", "epochs": 2, "rate": [0.1, 0.5]},
    {"kind": "entropic-least-action", "epochs": 2, "replicas": 2, "starts": 2},
)
CLUSTERS = (
    {"interface": "lo", "cores": 2, "memory": "4GB", "walltime": "01:00:00"},
    {
        "interface": "ib0",
        "cores": 8,
        "memory": "64 GiB",
        "walltime": "2-00:00:00",
        "jobs": 4,
        "gpus": 2,
        "prologue": ["true"],
    },
)
FLATNESS = ({}, {"strength": 0.1, "eta": [0.5, 1.0]}, {"slope": 2.0, "gamma": 0.5, "full": True})


@st.composite
def right(draw) -> dict[str, Any]:
    """A config with nothing wrong in it, as nested tables."""
    machine = draw(st.sampled_from(MACHINES))
    measure = draw(st.sampled_from(MEASURES))
    spherical = machine.get("weights") == "spherical"
    if spherical:  # which no centre is traced of
        measure = {key: value for key, value in measure.items() if key != "centre"}
    free = machine.get("weights") == "gaussian"
    patterns: dict[str, Any] = {"kind": "random", "alpha": draw(st.sampled_from(ALPHAS))}
    if draw(st.booleans()):
        patterns |= {"instances": draw(st.integers(1, 2)), "seed": draw(st.integers(0, 9))}
    if draw(st.booleans()) and "activation" not in machine:
        patterns |= {"kind": "teacher", "flip": draw(st.sampled_from([0.0, 0.1]))}
    if machine.get("weights", "binary") != "binary":
        patterns |= {"inputs": draw(st.sampled_from(["binary", "gaussian"]))}
    sweeps = draw(st.integers(1, 4))
    table = {
        "name": draw(st.sampled_from(["a", "a-b_c.d", "n" * 100])),
        "seed": draw(st.integers(0, 2**48 - 1)),
        "machine": machine,
        "patterns": patterns,
        "loss": draw(st.sampled_from(LOSSES[free:])),  # without a gradient norms that are free are not sampled
        "measure": measure,
        "sampler": {
            "chains": draw(st.integers(1, 2)),
            "burn_in": draw(st.integers(0, 2)),
            "sweeps": sweeps,
            "every": draw(st.integers(1, sweeps)),
        },
    }
    if (
        machine["kind"] != "tree-parity"
        and not {"activation", "output", "decay"} & set(machine)
        and draw(st.integers(0, 3)) == 3
    ):
        for section in ("loss", "measure", "sampler"):
            del table[section]
        table |= {"learner": draw(st.sampled_from(LEARNERS)), "flatness": draw(st.sampled_from(FLATNESS))}
    if draw(st.integers(0, 4)) == 4:
        table["cluster"] = draw(st.sampled_from(CLUSTERS))
    return {key: dict(value) if isinstance(value, dict) else value for key, value in table.items()}


#: Every key that a config can have.
KEYS = (
    *(
        "name",
        "seed",
        "machine",
        "patterns",
        "loss",
        "measure",
        "sampler",
        "learner",
        "flatness",
        "volumes",
        "kind",
        "weights",
        "n",
        "k",
        "activation",
    ),
    *(
        "slope",
        "alpha",
        "instances",
        "teacher",
        "flip",
        "path",
        "gamma",
        "margin",
        "beta",
        "replicas",
        "coupling",
        "centre",
    ),
    *("chains", "burn_in", "sweeps", "every", "distance", "steps", "moves", "acceptance"),
    *("rate", "epochs", "starts", "momentum", "strength", "eta", "full", "tolerance"),
    *("decay", "inputs", "initial_norm"),
    *("cluster", "interface", "cores", "memory", "walltime", "jobs", "gpus", "workers", "queue", "account"),
    *("directives", "prologue"),
)
#: Numbers beyond reason: refused whatever the machine, or for want of memory.
HUGE = (10**10, 2**31, 10**15, 10**30, 10**400, Raw("0x" + "f" * 5000), Raw("9" * 5000), 2_000_000_000, -(10**30))
ODD = (
    *(math.inf, -math.inf, math.nan, 1e308, -1e308, 5e-324, -0.0, 0, -1, 0.5, True, False),
    *(
        "",
        "x",
        "ü\n\x1b[31m",
        "\x7f\u202e",
        "x" * 5000,
        "a\0b",
        ".",
        "/",
        "/dev/zero",
        "~",
        "explicit",
        "no-such-file.npz",
    ),
    *([], [[]], [1, 1], [1, 1.0], [1, "a"], [True], [math.nan], [[1, 2], [3]], [{}], {}, {"a": {"b": {"c": 1}}}),
    *(
        Raw("1979-05-27T07:32:00Z"),
        Raw("07:32:00"),
        Raw("1e400"),
        Raw("[" * 5000 + "]" * 5000),
        Raw(f"{list(range(1, 20_000))}"),
    ),
    *({"start": 1, "stop": 2, "num": num} for num in (0, -1, 10**9, 10**30, 2.0, True, "3", math.nan)),
    *({"start": start, "stop": 1, "num": 3} for start in (math.inf, math.nan, -1e308, 10**400, "0", None or [])),
    *({"start": 1.0, "stop": 2.0, "scale": "log"}, {"start": 1.0}, {"num": 3}, {"start": math.nan, "stop": 1.0}),
    *({"start": 0.0, "stop": 1.0, "scale": "geometric"}, {"start": 1, "stop": 2, "num": 2, "over": "run"}),
)
SPELLINGS: tuple[Callable[[str], str], ...] = (
    lambda key: key.replace("_", "-"),
    str.upper,
    str.capitalize,
    lambda key: f" {key} ",
    lambda key: key[:-1],
    lambda key: key + "s",
    lambda key: key * 2000,
    lambda key: f"{key}.{key}",
    lambda key: f"{key}\n",
    lambda key: f"\x1b[31m{key}",
)

odd_values = st.one_of(
    st.sampled_from(HUGE),
    st.sampled_from(ODD),
    st.floats(max_value=0.0),
    st.text(max_size=20),
    st.integers(max_value=0),
)
odd_keys = st.one_of(
    st.builds(lambda key, spelled: spelled(key), st.sampled_from(KEYS), st.sampled_from(SPELLINGS)),
    st.sampled_from(["", "N", "burn-in", "__class__", "RampSection", "float"]),
    st.text(max_size=8),
)


def _sections(table: dict[str, Any]) -> list[dict[str, Any]]:
    return [table, *(value for value in table.values() if isinstance(value, dict))]


def _unknown_key(draw, table: dict[str, Any]) -> None:
    draw(st.sampled_from(_sections(table)))[draw(odd_keys)] = draw(st.one_of(st.just(1), odd_values))


def _misspelled_key(draw, table: dict[str, Any]) -> None:
    section = draw(st.sampled_from(_sections(table)))
    key = draw(st.sampled_from(sorted(section)))
    section[draw(st.sampled_from(SPELLINGS))(key)] = section.pop(key)


def _odd_value(draw, table: dict[str, Any]) -> None:
    section = draw(st.sampled_from(_sections(table)[1:]))
    section[draw(st.sampled_from(sorted(section)))] = draw(odd_values)


def _known_key_elsewhere(draw, table: dict[str, Any]) -> None:
    draw(st.sampled_from(_sections(table)))[draw(st.sampled_from(KEYS))] = draw(odd_values)


def _no_table(draw, table: dict[str, Any]) -> None:
    name = draw(
        st.sampled_from(["machine", "patterns", "loss", "measure", "sampler", "learner", "flatness", "volumes"])
    )
    table[name] = draw(st.sampled_from([5, "x", True, [], [{}], [{"kind": "perceptron"}], math.nan, {}]))


def _left_out(draw, table: dict[str, Any]) -> None:
    section = draw(st.sampled_from(_sections(table)))
    del section[draw(st.sampled_from(sorted(section)))]


def _other_kind(draw, table: dict[str, Any]) -> None:
    kinds = [
        "perceptron",
        "tree-parity",
        "cross-entropy",
        "error-count",
        "file",
        "teacher",
        "hmc",
        "heat-bath",
        "hit-and-run",
        "least-action",
        "focusing-bp",
    ]
    table[draw(st.sampled_from(["machine", "patterns", "loss", "sampler", "learner"]))]["kind"] = draw(
        st.sampled_from(kinds)
    )


def _odd_name(draw, table: dict[str, Any]) -> None:
    table["name"] = draw(
        st.sampled_from(["", ".", "..", "a/b", "-x", "n" * 101, "n" * 245, "é", "a b", "a\n", 5, ["a"], "~"])
    )


#: Ways to spoil nested tables, in place.
SPOILS: tuple[Callable[..., None], ...] = (
    *(
        _unknown_key,
        _misspelled_key,
        _odd_value,
        _odd_value,
        _known_key_elsewhere,
        _no_table,
        _left_out,
        _other_kind,
        _odd_name,
    ),
)
#: Ways to spoil the bytes.
GARBLES: tuple[Callable[[bytes, int], bytes], ...] = (
    lambda content, at: content[:at],
    lambda content, at: content[:at] + b"\xff\xfe" + content[at:],
    lambda content, at: content[:at] + b"\0" + content[at:],
    lambda content, at: content + content[at:],
    lambda content, at: content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :],
    lambda content, at: content.decode().encode("utf-16"),
    lambda content, at: b"",
    lambda content, at: content + b"#" * 2**21,
    lambda content, at: b"a = " + b"[" * 20_000 + content,
    lambda content, at: b".".join([b"a"] * 3000) + b" = 1\n" + content,
)
OVERRIDES = (
    *("a", "=1", "x.y.z=1", "", "=", "a=", ".", "a..b=1", "sampler=1", "sampler.sweeps=", "name=", "machine.kind.x=1"),
    *("sampler.sweeps=1=2", "sampler.burn-in=1", "sampler. sweeps=2", "sampler.sweeps=[", "machine.n=nan"),
    *("sampler.sweeps=1\nname = 2", "measure.beta=" + "9" * 5000, "measure.beta=" + "[" * 5000, "a." * 3000 + "b=1"),
    *("\udcff=1", "name=\udcff", "patterns.path=\x1b[31m", "sampler.chains=10000000000"),
)


@st.composite
def cases(draw) -> Case:
    """One in twelve is right, in any of the ways in which files are right; the others are spoiled once to four times."""
    table = draw(right())
    if draw(st.integers(0, 11)) == 7:  # 0 is drawn more often than others
        text = toml(table)
        dressed = draw(st.sampled_from([text, "\ufeff" + text, text.replace("\n", "\r\n"), "# Größe ∞\n" + text]))
        overrides = draw(st.sampled_from([[], ["patterns.instances=2"], ["seed = 5", "seed = 6"], ["name=other"]]))
        return Case(dressed.encode(), overrides, right=True)
    for spoil in draw(st.lists(st.sampled_from(SPOILS), min_size=1, max_size=2)):
        with contextlib.suppress(TypeError, KeyError, AttributeError):  # what another spoil has left has no such place
            spoil(draw, table)
    content = toml(table).encode()
    if draw(st.integers(0, 3)) == 0:
        content = draw(st.sampled_from(GARBLES))(content, draw(st.integers(0, len(content) - 1)))
    overrides = draw(st.lists(st.sampled_from(OVERRIDES), max_size=2)) if draw(st.integers(0, 3)) == 0 else []
    return Case(content, overrides)
