"""The manifest of a run: what its plan says of its results (`gpumc.results.manifest`)."""

from __future__ import annotations

from gpumc.results.manifest import IN_PARTS, Group, Manifest, Place
from gpumc.sweeps.plan import Task
from gpumc.sweeps.record import Record


def manifest_of(record: Record) -> Manifest:
    """Coordinates of the results of a run, and where each of its tasks lies in them."""
    config = record.config
    tasks: dict[tuple[int, int], list[Task]] = {}
    for task in record.tasks:
        tasks.setdefault((task.n, task.k), []).append(task)
    numbers = {shape: number for number, shape in enumerate(tasks)}
    groups = [_group(f"n{n}_k{k}", record, of_group) for (n, k), of_group in tasks.items()]
    positions = [
        {axis: {v: at for at, v in enumerate(values)} for axis, values in group.axes.items()} for group in groups
    ]
    places = []
    for task in record.tasks:
        number = numbers[task.n, task.k]
        axes = tuple(positions[number][axis][value] for axis, value in task.axes(config).items())
        places.append(Place(number, axes, (task.instances, task.chains)))
    return Manifest(record.key, {"name": config.name, "config": record.text}, tuple(groups), tuple(places))


def _group(name: str, record: Record, tasks: list[Task]) -> Group:
    """The results of one machine."""
    config = record.config
    axes = {axis: sorted({task.axes(config)[axis] for task in tasks}) for axis in tasks[0].axes(config)}
    kinds = {(task.replicas, task.settings): task for task in tasks}  # the coordinates depend on nothing else
    contents = [config.content(task).coordinates for task in kinds.values()]
    instance, chain = (part for part in IN_PARTS if part in contents[0])
    parts = {instance: max(task.instances[1] for task in tasks), chain: max(task.chains[1] for task in tasks)}
    inner = dict.fromkeys(coordinate for content in contents for coordinate in content if coordinate not in parts)
    values = {one: max((c[one] for c in contents if one in c), key=len).tolist() for one in inner}
    return Group(name, axes, parts, values)
