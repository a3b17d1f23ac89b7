"""The record of a run, ``run.json``: its config, its inputs with their digests, and its plan."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

from gpumc._version import __version__
from gpumc.errors import Damaged, RunError
from gpumc.sweeps.config import read_config
from gpumc.sweeps.config_text import parsed
from gpumc.sweeps.plan import Task, plan
from gpumc.sweeps.tasks import RunConfig
from gpumc.sweeps.tasks.run_config import PLACES

FORMAT = 2
#: The section that says where tasks run, with which a run may go on otherwise.
WHERE = "cluster"


@dataclass(frozen=True)
class FilePatterns:
    """The sizes of patterns from a file, and their digest."""

    pattern_count: int
    instances: int
    digest: str


@dataclass(frozen=True)
class Record:
    """A run: ``text`` is its whole config as it runs, ``inputs`` the SHA-256 of each file that the config names, and ``checked`` the
    config itself where it was read before."""

    text: str
    inputs: dict[str, str]
    file_patterns: FilePatterns | None
    tasks: tuple[Task, ...]
    version: str = __version__
    checked: RunConfig | None = field(default=None, compare=False, repr=False)

    @classmethod
    def planned(
        cls, text: str, config: RunConfig, inputs: dict[str, str], file_patterns: FilePatterns | None
    ) -> Record:
        """The record of a run that begins now; ``config`` is what ``text`` says."""
        return cls(text, inputs, file_patterns, _planned(config, file_patterns), checked=config)

    @classmethod
    def read(cls, content: str, wanted: Record | None = None) -> Record:
        """The record in the ``content`` of a file; of the run that is ``wanted`` it takes the config, which need not be checked again.

        Raises Damaged, and RunError for another format or plan.
        """
        try:
            stored = json.loads(content)
            if not isinstance(stored, dict) or not isinstance(stored["gpumc"], str):
                raise TypeError("it is no record of a run")
            if stored["format"] != FORMAT:
                raise RunError(
                    f"is of format {stored['format']}, written by gpumc {stored['gpumc']}, and this gpumc "
                    f"({__version__}) has format {FORMAT}: go on with that version, or choose another --out"
                )
            tasks = tuple(map(Task.read, stored["tasks"]))
            patterns = stored["file_patterns"]
            inputs = {str(name): str(digest) for name, digest in stored["inputs"].items()}
            record = cls(
                str(stored["config"]), inputs, FilePatterns(**patterns) if patterns else None, tasks, stored["gpumc"]
            )
            if stored["key"] != record.key:
                raise ValueError("its content does not have its digest")
            if wanted and not record.difference(wanted):
                record = replace(record, checked=wanted.config.with_files(record._named_files()))
            planned = _planned(record.config, record.file_patterns)
        except KeyError as error:
            raise Damaged(f"it has no {error}") from None
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise Damaged(str(error) or type(error).__name__) from None
        if planned != tasks:
            raise RunError(
                f"was planned otherwise by gpumc {record.version} than this gpumc ({__version__}) plans it: go on "
                "with that version, or choose another --out"
            )
        return record

    def written(self) -> str:
        """The content of the file; `read` is its inverse."""
        stored = {
            "format": FORMAT,
            "gpumc": self.version,
            "key": self.key,
            "config": self.text,
            "inputs": self.inputs,
            "file_patterns": asdict(self.file_patterns) if self.file_patterns else None,
            "tasks": [task.record() for task in self.tasks],
        }
        return json.dumps(stored, indent=1)

    @cached_property
    def config(self) -> RunConfig:
        """The config, checked."""
        return self.checked or read_config(self.text)

    def _named_files(self) -> dict[str, str]:
        """The files that the text names."""
        table = parsed(self.text)
        return {name: table[PLACES[name][0]][PLACES[name][1]] for name in self.inputs}

    @cached_property
    def key(self) -> str:
        """A digest of all that decides the numbers of the run; comments of the config, and where it runs, do not."""
        table = parsed(self.text)
        table.pop(WHERE, None)
        for name, (section, key) in PLACES.items():
            if name in self.inputs:
                table[section][key] = self.inputs[name]
        tasks = [task.record() for task in self.tasks]
        text = json.dumps([table, tasks], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def difference(self, wanted: Record) -> str:
        """The first thing in which two runs differ, "" where they are one; comments, spaces and where it runs do not matter."""
        old, new = _flat(parsed(self.text)), _flat(parsed(wanted.text))
        for key in dict.fromkeys([*old, *new]):
            name = next((name for name, place in PLACES.items() if place == key), None)
            if name in self.inputs and name in wanted.inputs:
                if self.inputs[name] != wanted.inputs[name]:
                    return f"the content of {new[key]} is not what it was"
            elif old.get(key) != new.get(key):
                was, now = (f"'{key[1]} = {side[key]}'" if key in side else "absent" for side in (old, new))
                return f"[{key[0]}] was {was} and is now {now}" if key[0] else f"{was} is now {now}"
        return ""


def _planned(config: RunConfig, patterns: FilePatterns | None) -> tuple[Task, ...]:
    sizes = (patterns.pattern_count, patterns.instances) if patterns else ()
    return tuple(plan(config, *sizes))


def _flat(table: dict) -> dict[tuple[str, str], Any]:
    """Values by (section, key), but those of where it runs; the section of a value outside of them is ""."""
    flat = {("", key): value for key, value in table.items() if not isinstance(value, dict)}
    sections = {name: section for name, section in table.items() if isinstance(section, dict) and name != WHERE}
    return flat | {(name, key): value for name, section in sections.items() for key, value in section.items()}
