"""The memory that this process may still take: of the machine, of its control groups, and of its address space."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

#: What is assumed free where the system does not say, in bytes.
UNKNOWN = 2**31
PROC = Path("/proc")
#: The files of a control group that hold its limit and its use, of version 2 and 1.
GROUP_FILES = {
    "cgroup2": ("memory.max", "memory.current"),
    "cgroup": ("memory.limit_in_bytes", "memory.usage_in_bytes"),
}
#: Caches of files in a group's memory.stat, which give way: of version 2, and of version 1 with the groups below.
CACHES = {"cgroup2": ("inactive_file", "active_file"), "cgroup": ("total_inactive_file", "total_active_file")}


def free_host_memory() -> int:
    """Bytes that new arrays may take before the system, a limit of the job's control groups or one of this process is met.

    Of several processes that share the machine, their number in ``GPUMC_PROCESSES``, each has its share.
    """
    processes = os.environ.get("GPUMC_PROCESSES", "1")
    return max(0, min([_available(), *_of_groups(), *_of_limits()])) // max(
        1, int(processes) if processes.isdecimal() else 1
    )


def _available() -> int:
    if line := re.search(r"^MemAvailable:\s+(\d+) kB", _text(PROC / "meminfo"), re.MULTILINE):
        return int(line[1]) * 1024
    if "SC_PHYS_PAGES" in getattr(os, "sysconf_names", {}):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    return UNKNOWN


def _of_groups() -> Iterator[int]:
    """What is left in each control group with a limit, from the process's own up."""
    for kind, folder, top in _groups():
        limit_file, use_file = GROUP_FILES[kind]
        for group in (folder, *folder.parents):
            limit, used = _number(group / limit_file), _number(group / use_file)
            if limit is not None and used is not None:
                stat = dict(line.split() for line in _text(group / "memory.stat").splitlines())
                yield limit - used + sum(int(stat.get(name, 0)) for name in CACHES[kind])
            if group == top:
                break


def _groups() -> Iterator[tuple[str, Path, Path]]:
    """The version, the folder and the uppermost folder of this process's group in every hierarchy that may limit memory."""
    own = {}
    for line in _text(PROC / "self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers or "memory" in controllers.split(","):
            own["cgroup" if controllers else "cgroup2"] = path
    for line in _text(PROC / "self/mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        root, mounted = before.split()[3:5]
        kind, _, options = after.split()[:3]
        if kind in own and (kind == "cgroup2" or "memory" in options.split(",")):
            # A container may see its group as the root of what is mounted.
            inside = own[kind].removeprefix(root if root != "/" else "").lstrip("/")
            yield kind, Path(mounted) / inside, Path(mounted)


def _of_limits() -> Iterator[int]:
    """What is left of the limits of this process's address space and data (``ulimit -v`` and ``-d``)."""
    status = dict(re.findall(r"^(VmSize|VmData):\s+(\d+) kB", _text(PROC / "self/status"), re.MULTILINE))
    for name, used in (("RLIMIT_AS", "VmSize"), ("RLIMIT_DATA", "VmData")):
        if resource is not None and hasattr(resource, name) and used in status:
            limit, _ = resource.getrlimit(getattr(resource, name))
            if limit != resource.RLIM_INFINITY:
                yield limit - 1024 * int(status[used])


def _text(path: Path) -> str:
    """A file of the system's, "" where there is none."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _number(path: Path) -> int | None:
    """The number in a file of a control group, None where there is none ("max" is no number)."""
    try:
        return int(_text(path))
    except ValueError:
        return None
