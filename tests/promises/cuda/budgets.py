"""Launches, copies and waits that each method may take: the table in docs/performance.md has the upper bounds.

python -m tests.promises.cuda.budgets           what each takes now
python -m tests.promises.cuda.budgets --write   the same into docs/performance.md
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass
from pathlib import Path
from unittest import mock

import numpy as np

import gpumc
from gpumc.device import choose
from gpumc.volumes.billiards import Billiards
from gpumc.volumes.slices import Slices
from tests.promises.cuda.costs import Cost, metered

PAGE = Path(__file__).parents[3] / "docs" / "performance.md"
BEGIN, END = "<!-- budgets: python -m tests.promises.cuda.budgets --write -->", "<!-- end of budgets -->"
HEAD = "| method | one | launches | copies to the device | copies to the host | waits |\n|---|---|---|---|---|---|"

ERRORS, CROSS_ENTROPY, HINGE = gpumc.ErrorCount(), gpumc.CrossEntropy(1.0), gpumc.SquaredHinge(0.2)
PERCEPTRON, TREE, PARITY = gpumc.Perceptron(31), gpumc.TreeCommittee(33, k=3), gpumc.TreeParity(33, k=3)
RELU = gpumc.TreeCommittee(30, k=2, activation="relu")


def sphere(machine: type, *shape, **settings) -> gpumc.machines.Machine:
    return machine(*shape, weights="spherical", **settings)


GLOBE, TANH, SIGNS = (
    sphere(gpumc.Perceptron, 20),
    sphere(gpumc.TreeCommittee, 21, 3, activation="tanh"),
    sphere(gpumc.TreeCommittee, 21, 3),
)


def cost(call: Callable[[], object]) -> Cost:
    choose("cuda")  # the first choice in a process tries the device
    with metered() as meter:
        call()
    return meter.cost


def shared(whole: Cost, among: int) -> Cost:
    """What one of ``among`` takes, rounded up."""
    return Cost(*(-(-n // among) for n in astuple(whole)))


def draw(machine, loss, centre=None, sampler=None, beta=2.0) -> Callable[[], Cost]:
    """One sweep, and what is measured after it."""
    if centre == "fixed":
        centre = np.ones(machine.weight_count)
    measure = gpumc.Gibbs(loss, beta) if centre is None else gpumc.LocalEntropy(loss, beta, 0.3, 2, centre)

    def run(sweeps: int) -> Cost:
        patterns = gpumc.random_patterns(machine, 0.4, seed=1)
        settings = {"chains": 4, "burn_in": 0, "sweeps": sweeps, "seed": 1, "sampler": sampler, "device": "cuda"}
        return cost(lambda: gpumc.sample(machine, patterns, measure, **settings))

    def per_draw() -> Cost:
        run(1)  # what is asked of compiled code once
        return run(3) - run(2)

    return per_draw


def iterations(machine, form="amp", **problem) -> Callable[[], Cost]:
    """Eight iterations of belief propagation for one row."""
    function = gpumc.local_entropy if {"distance", "field"} & set(problem) else gpumc.entropy
    reference = (np.ones(machine.weight_count),) if function is gpumc.local_entropy else ()
    patterns = gpumc.random_patterns(machine, 0.4, seed=1)

    def run(iterations: int) -> tuple[Cost, int]:
        found = []
        method = gpumc.BeliefPropagation(form, tolerance=1e-300, iterations=iterations)
        whole = cost(
            lambda: found.append(function(machine, patterns, *reference, method=method, device="cuda", **problem))
        )
        return whole, int(found[0].iterations.max())

    def per_eight() -> Cost:
        (few, less), (many, more) = run(80), run(160)
        return shared(many - few, (more - less) // 8)

    return per_eight


def focusing(machine) -> Callable[[], Cost]:
    """Eight iterations of focusing belief propagation from one start."""
    protocol = gpumc.FreeScoping([(3.0, 0.5)])

    def run(iterations: int) -> Cost:
        patterns = gpumc.random_patterns(machine, 0.4, seed=1)
        settings = {"protocol": protocol, "iterations": iterations, "tolerance": 1e-300, "device": "cuda"}
        return cost(lambda: gpumc.focusing_bp(machine, patterns, **settings))

    return lambda: run(16) - run(8)


def level(machine, kind: type) -> Callable[[], Cost]:
    """The moves of this ``kind`` at the first level of a splitting."""

    def first() -> Cost:
        found: list[Cost] = []
        original = kind.moved

        def moved(self, *arguments):
            results: list = []
            found.append(cost(lambda: results.append(original(self, *arguments))))
            return results[0]

        method = gpumc.Splitting(particles=32, populations=2, moves=3)
        with mock.patch.object(kind, "moved", moved):
            gpumc.entropy(machine, gpumc.random_patterns(machine, 0.4, seed=1), method=method, device="cuda")
        return found[0]

    return first


def exchange() -> Cost:
    """The sweeps between two exchanges of thermodynamic integration, and the exchange."""

    def run(sweeps: int) -> Cost:
        settings = {"temperatures": 4, "couplings": 6, "chains": 2, "burn_in": 4, "every": 4}
        method = gpumc.ThermodynamicIntegration(sweeps=sweeps, **settings)
        patterns = gpumc.random_patterns(PERCEPTRON, 0.4, seed=1)
        return cost(lambda: gpumc.entropy(PERCEPTRON, patterns, method=method, device="cuda"))

    run(4)  # what is asked of compiled code once
    return run(12) - run(8)


@dataclass(frozen=True)
class Method:
    """A row of the table: a ``name``, what is counted ``one`` of, and how to measure it."""

    name: str
    one: str
    measured: Callable[[], Cost]


METHODS = (
    Method("perceptron, error count", "draw", draw(PERCEPTRON, ERRORS)),
    Method("perceptron, error count, explicit centre", "draw", draw(PERCEPTRON, ERRORS, "explicit")),
    Method("perceptron, cross-entropy", "draw", draw(PERCEPTRON, CROSS_ENTROPY)),
    Method("perceptron, cross-entropy, traced centre", "draw", draw(PERCEPTRON, CROSS_ENTROPY, "traced")),
    Method(
        "perceptron, cross-entropy, fixed centre, heat bath",
        "draw",
        draw(PERCEPTRON, CROSS_ENTROPY, "fixed", gpumc.HeatBath()),
    ),
    Method("committee, error count", "draw", draw(TREE, ERRORS)),
    Method("parity machine, cross-entropy", "draw", draw(PARITY, CROSS_ENTROPY)),
    Method("ReLU committee, error count", "draw", draw(RELU, ERRORS)),
    Method("HMC, tanh committee", "sweep", draw(TANH, CROSS_ENTROPY)),
    Method("HMC, tanh committee, squared hinge", "sweep", draw(TANH, HINGE)),
    Method("HMC, tanh committee, explicit centre", "sweep", draw(TANH, CROSS_ENTROPY, "explicit")),
    Method("HMC, tanh committee, traced centre", "sweep", draw(TANH, CROSS_ENTROPY, "traced")),
    Method("HMC, tanh committee, fixed centre", "sweep", draw(TANH, CROSS_ENTROPY, "fixed")),
    Method("rotations, sign committee", "sweep", draw(SIGNS, ERRORS, sampler=gpumc.Rotations())),
    Method("hit-and-run, sign committee", "sweep", draw(SIGNS, ERRORS, sampler=gpumc.HitAndRun(), beta=np.inf)),
    Method("AMP, perceptron", "8 iterations", iterations(PERCEPTRON)),
    Method("AMP, perceptron, field", "8 iterations", iterations(PERCEPTRON, field=0.3)),
    Method("AMP, perceptron, distance", "8 iterations", iterations(PERCEPTRON, distance=0.3)),
    Method(
        "AMP, perceptron, cross-entropy",
        "8 iterations",
        iterations(PERCEPTRON, measure=gpumc.Gibbs(CROSS_ENTROPY, 2.0)),
    ),
    Method("AMP, tree committee", "8 iterations", iterations(TREE)),
    Method("relaxed BP, perceptron", "8 iterations", iterations(PERCEPTRON, "relaxed")),
    Method(
        "relaxed BP, perceptron, cross-entropy",
        "8 iterations",
        iterations(PERCEPTRON, "relaxed", measure=gpumc.Gibbs(CROSS_ENTROPY, 2.0)),
    ),
    Method("exact BP, perceptron", "8 iterations", iterations(PERCEPTRON, "exact")),
    Method("exact BP, tree committee", "8 iterations", iterations(TREE, "exact")),
    Method("AMP, spherical perceptron", "8 iterations", iterations(GLOBE)),
    Method("AMP, spherical perceptron, distance", "8 iterations", iterations(GLOBE, distance=0.1)),
    Method("focusing, perceptron", "8 iterations", focusing(PERCEPTRON)),
    Method("focusing, spherical perceptron", "8 iterations", focusing(GLOBE)),
    Method("splitting by billiards, spherical perceptron", "level", level(GLOBE, Billiards)),
    Method("splitting by slices, 3 moves, sign committee", "level", level(SIGNS, Slices)),
    Method("thermodynamic integration, perceptron", "exchange", exchange),
)


def rows() -> Iterator[str]:
    """The table of what each method takes now, line by line."""
    yield from HEAD.splitlines()
    for method in METHODS:
        yield f"| {' | '.join((method.name, method.one, *(f'{n:,}' for n in astuple(method.measured()))))} |"


def budgets() -> dict[str, Cost]:
    """The table in docs/performance.md."""
    inside = PAGE.read_text().partition(BEGIN)[2].partition(END)[0]
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in inside.splitlines() if line.startswith("|")
    ]
    return {name: Cost(*(int(n.replace(",", "")) for n in numbers)) for name, _, *numbers in cells[2:]}


def main() -> None:
    before, found, rest = PAGE.read_text().partition(BEGIN)
    table = []
    for row in rows():
        print(row, flush=True)
        table.append(row)
    if sys.argv[1:] == ["--write"]:
        if not found:
            raise SystemExit(f"{PAGE.name} has no line {BEGIN}")
        PAGE.write_text("\n".join([before + BEGIN, *table, END]) + rest.partition(END)[2])


if __name__ == "__main__":
    from tests.promises.cuda.modules import install

    install()
    main()
