"""Entropies of enumerated systems, which belief propagation and thermodynamic integration are held to."""

from functools import cache

import numpy as np

import gpumc
from gpumc import exact


@cache
def states_of(count):
    """All configurations of ``count`` weights, made once: int8 (2^count, count)."""
    return exact.states(count)


def satisfiable(machine, alpha, instances, seed):
    """Random patterns of which every instance has a configuration without error, and every instance's errors (instances, states)."""
    found: list = []
    drawn = gpumc.random_patterns(machine, alpha, 4 * instances, seed)
    for xi, labels in zip(drawn.xi, drawn.labels, strict=True):
        errors = exact.enumerate_states(machine, gpumc.Patterns(xi, labels)).errors.values[0]
        if len(found) < instances and errors.min() == 0:
            found.append((xi, labels, errors))
        if len(found) == instances:
            break
    xi, labels, errors = (np.stack(part) for part in zip(*found, strict=True))
    return gpumc.Patterns(xi, labels), errors


def middle_solutions(machine, errors):
    """A solution of each instance: int8 (instances, weights)."""
    states = states_of(machine.weight_count)
    return np.array([states[np.flatnonzero(row == 0)[(row == 0).sum() // 2]] for row in errors])


def at_fields(machine, errors, references, fields):
    """log Z, entropy and distance, each per weight, at fields toward the references: (3, instances, fields)."""
    count, states = machine.weight_count, states_of(machine.weight_count)
    flipped = np.arange(count + 1)
    found = []
    for row, reference in zip(errors, references, strict=True):
        overlaps = states[row == 0].astype(np.float32) @ reference.astype(np.float32)
        solutions = np.bincount((count - overlaps.astype(int)) // 2, minlength=count + 1)
        log_weight = np.log(np.maximum(solutions, 1e-300)) - np.outer(fields, flipped)
        log_z = np.logaddexp.reduce(log_weight, axis=1)
        distance = np.exp(log_weight - log_z[:, None]) @ flipped
        found.append([log_z / count, (log_z + fields * distance) / count, distance / count])
    return np.array(found).swapaxes(0, 1)
