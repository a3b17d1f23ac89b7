"""What a run's folder says of its shards, so that they need not be opened to know what is in them.

``manifest.json`` is written when the run is planned: the coordinates of the results, and where each task's block lies. A line is added to
``finished.jsonl`` when a shard is finished: its SHA-256, its attributes, and what no plan knows before, such as the number of epochs.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from gpumc.errors import Damaged, RunError
from gpumc.results.files import replacing

MANIFEST = "manifest.json"
FINISHED = "finished.jsonl"
SHARDS = "shards"
#: Dimensions of which shards may hold a part.
IN_PARTS = ("instance", "chain", "start")


@dataclass(frozen=True)
class Group:
    """The results of one machine: the axes of which a task has one value each, the sizes of the dimensions of which it has a part, and
    the values of other coordinates that the config gives."""

    name: str
    axes: dict[str, list]
    parts: dict[str, int]
    coordinates: dict[str, list]


class Place(NamedTuple):
    """Where a task's block lies in the results of its group: its position along each axis, and its range of each dimension in parts."""

    group: int
    axes: tuple[int, ...]
    parts: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Manifest:
    """The plan of the results of the run with a ``key``; ``attributes`` are those of the merged results that no shard has."""

    key: str
    attributes: dict[str, str]
    groups: tuple[Group, ...]
    places: tuple[Place, ...]

    def write(self, folder: Path) -> None:
        """Write it into a run's folder."""
        text = json.dumps(asdict(self))
        with replacing(folder / MANIFEST) as temporary:
            temporary.write_text(json.dumps({"sha256": _digest(text), "manifest": text}), encoding="utf-8")

    @staticmethod
    def stamp(folder: Path) -> int:
        """When that of a run's folder was written; 0 where there is none."""
        try:
            return (folder / MANIFEST).stat().st_mtime_ns
        except OSError:
            return 0

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """That of a run's folder. Raises RunError where there is none, and Damaged."""
        try:
            stored = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
            if stored["sha256"] != _digest(stored["manifest"]):
                raise ValueError("its content does not have its digest")
            content = json.loads(stored["manifest"])
            groups = tuple(Group(**group) for group in content["groups"])
            places = tuple(Place(g, tuple(axes), tuple(map(tuple, parts))) for g, axes, parts in content["places"])
            return cls(content["key"], content["attributes"], groups, places)
        except (FileNotFoundError, NotADirectoryError):
            raise RunError(
                f"{folder} holds no {MANIFEST}: `gpumc run CONFIG --out {folder}` writes it where there is a run"
            ) from None
        except OSError as error:
            raise RunError(f"{folder / MANIFEST} cannot be read ({error.strerror}): nothing was changed") from None
        except (ValueError, TypeError, KeyError) as error:
            raise Damaged(f"{folder / MANIFEST} is damaged ({error}): `gpumc run` makes it again") from None

    def shard(self, folder: Path, task: int) -> Path:
        """The file of a task."""
        return folder / SHARDS / shard_name(task)

    def label(self, task: int) -> str:
        """What the seal of the shard of a task says."""
        return shard_label(task, self.key)


class Layout(NamedTuple):
    """What shards of a kind have in common: dimensions, type and attributes of each array, values of the coordinates that are no ranges,
    and sizes of the dimensions without a coordinate."""

    variables: dict[str, tuple[list[str], str, dict[str, Any]]]
    coordinates: list[str]
    values: dict[str, list]
    sizes: dict[str, int]


@dataclass(frozen=True)
class Finished:
    """A finished shard: its task, its SHA-256 ("" for one that was set aside), the name of its layout, its attributes, coordinates that are
    ranges (start, step, size), and numbers, arrays without dimensions."""

    task: int
    sha256: str
    layout: str = ""
    attributes: dict[str, Any] = field(default_factory=dict)
    ranges: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    numbers: dict[str, Any] = field(default_factory=dict)


def notes_of(data: xr.Dataset, task: int, sha256: str) -> tuple[str, str]:
    """What is noted of the shard of a task: its layout, and the shard itself."""
    inner = [str(name) for name in data.coords if name not in IN_PARTS]
    ranges = {name: span for name in inner if (span := _range(data.variables[name]))}
    sizes = {str(dim): size for dim, size in data.sizes.items() if dim not in data.coords}
    variables = {
        str(name): ([str(dim) for dim in v.dims], _kind(v.dtype), dict(v.attrs)) for name, v in data.variables.items()
    }
    values = {name: data.variables[name].values.tolist() for name in inner if name not in ranges}
    layout = _text(Layout(variables, [str(name) for name in data.coords], values, sizes)._asdict())
    numbers = {str(name): v.values.item() for name, v in data.data_vars.items() if not v.dims}
    named = _digest(layout)[:16]
    return layout, _text(vars(Finished(task, sha256, named, dict(data.attrs), ranges, numbers)))


class Journal:
    """The lines of ``finished.jsonl``: each has its CRC, and one that a killed process left torn is left out.

    One process at a time writes: the one that holds the folder.
    """

    def __init__(self, folder: Path):
        self.path = folder / FINISHED
        self.known: set[str] = set()

    def size(self) -> int:
        """Bytes that there are by now."""
        try:
            return self.path.stat().st_size
        except OSError:
            return 0

    def read(self, size: int | None = None) -> tuple[dict[int, Finished], dict[str, Layout]]:
        """The finished shards by their tasks, and the layouts by their names, of the first ``size`` bytes."""
        shards: dict[int, Finished] = {}
        layouts: dict[str, Layout] = {}
        for content in self._lines(size):
            line = json.loads(content)
            if "task" in line:
                shards[line["task"]] = Finished(**line)
            else:
                layouts[_digest(content)[:16]] = Layout(**line)
        return {task: shard for task, shard in shards.items() if shard.sha256 and shard.layout in layouts}, layouts

    def note(self, layout: str, shard: str) -> None:
        """Add what `notes_of` gives of a shard; its layout once. Raises RunError where that is not possible."""
        self._write(*([] if layout in self.known else [layout]), shard)
        self.known.add(layout)

    def _write(self, *lines: str) -> None:
        # The end of a line is written before it: a line that is torn spoils no other.
        content = "".join(f"\n{zlib.crc32(line.encode()):08x} {line}" for line in lines)
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(content)
        except OSError as error:
            raise RunError(f"{self.path} cannot be written ({error.strerror})") from None

    def withdraw(self, task: int) -> None:
        """Note that the shard of a task is not there any more."""
        self._write(_text(vars(Finished(task, ""))))

    def _lines(self, size: int | None) -> Iterator[str]:
        try:
            with self.path.open("rb") as file:
                content = file.read(-1 if size is None else size)
        except FileNotFoundError:
            return
        except OSError as error:
            raise RunError(f"{self.path} cannot be read ({error.strerror}): nothing was changed") from None
        for line in content.split(b"\n"):
            crc, _, text = line.partition(b" ")
            if text and crc == b"%08x" % zlib.crc32(text):
                yield text.decode()


def shard_name(task: int) -> str:
    """The name of the file of a task."""
    return f"task-{task:05}.h5"


def shard_label(task: int, key: str) -> str:
    """What the seal of the shard of a task says, in the run with a ``key``."""
    return f"task {task} of run {key}"


def _range(array: xr.Variable) -> tuple[int, int, int] | None:
    """Start, step and size of whole numbers at even steps."""
    values = array.values
    if array.ndim != 1 or values.dtype.kind not in "iu" or not values.size:
        return None
    step = int(values[1] - values[0]) if values.size > 1 else 1
    even = np.array_equal(values, values[0] + step * np.arange(values.size))
    return (int(values[0]), step, values.size) if even else None


def _kind(dtype: np.dtype) -> str:
    return "text" if dtype.kind in "UOST" else dtype.str


def _text(content: Mapping[str, Any]) -> str:
    return json.dumps(content, default=_plain)


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, (np.generic, np.ndarray)) else str(value)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
