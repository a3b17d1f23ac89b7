"""Epochs a second of learners: many starts at once against one at a time, and against a plain loop in PyTorch.

    python -m benchmarks.learning [--n 999] [--starts 64] [--epochs 10] [--device auto]

prints a table: epochs of a start a second, with one start and with many, and of one start in a plain loop in PyTorch where that is
installed; for gradient descent also the part of the rate of plain matrix products of the same shapes that it reaches.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np

import gpumc

try:
    import torch
except ImportError:
    torch = None


def epochs_a_second(
    machine: gpumc.TreeCommittee,
    patterns: gpumc.Patterns,
    learner: gpumc.LeastAction | gpumc.CrossEntropySGD,
    starts: int,
    device: str,
) -> float:
    """Epochs of one start a second, of ``starts`` that run together, the first call, which compiles, left out."""
    gpumc.learn(machine, patterns, type(learner)(epochs=1), starts=1, device=device)
    begun = time.perf_counter()
    data = gpumc.learn(machine, patterns, learner, starts=starts, device=device)
    return float(data.steps.sum()) / (time.perf_counter() - begun)


def product_rate(machine: gpumc.TreeCommittee, starts: int, batch: int) -> float:
    """Multiplications and additions a second of the products of one gradient, by NumPy."""
    rng = np.random.default_rng(1)
    weights, inputs = (
        rng.normal(size=(machine.k, starts, machine.fan_in)),
        rng.normal(size=(machine.k, batch, machine.fan_in)),
    )
    begun, rounds = time.perf_counter(), 200
    for _ in range(rounds):
        fields = np.matmul(weights, inputs.swapaxes(1, 2))
        np.matmul(fields, inputs)
    return rounds * 4 * starts * batch * machine.n / (time.perf_counter() - begun)


def torch_descents_a_second(machine: gpumc.TreeCommittee, patterns: gpumc.Patterns, epochs: int, batch: int) -> float:
    """The same descent of one start as a plain loop in PyTorch: epochs a second."""
    units, labels = torch_patterns(machine, patterns)
    weights = torch.randn(machine.k, machine.fan_in, dtype=torch.float64, requires_grad=True)
    descent = torch.optim.SGD([weights], lr=1.0, momentum=0.9)
    begun = time.perf_counter()
    for _ in range(epochs):
        for chosen in torch.randperm(len(labels)).split(batch):
            fields = torch.einsum("mki,ki->mk", units[chosen], weights) / machine.fan_in**0.5
            stability = torch.tanh(fields).sum(1) * labels[chosen] / machine.k**0.5
            loss = torch.nn.functional.softplus(-2 * stability).mean() / 2
            descent.zero_grad()
            loss.backward()
            descent.step()
            with torch.no_grad():
                weights *= (machine.fan_in**0.5) / weights.norm(dim=1, keepdim=True)
    return epochs / (time.perf_counter() - begun)


def torch_least_actions_a_second(
    machine: gpumc.TreeCommittee, patterns: gpumc.Patterns, epochs: int, rate: float
) -> float:
    """The same least action learning of one start as a plain loop in PyTorch: epochs a second."""
    units, labels = torch_patterns(machine, patterns)
    weights = torch.randn(machine.k, machine.fan_in, dtype=torch.float64)
    begun = time.perf_counter()
    for _ in range(epochs):
        for m in torch.randperm(len(labels)).tolist():
            fields = labels[m] * (weights * units[m]).sum(1)
            votes = int(torch.sign(fields).sum())
            if votes > 0:
                continue
            nearness = torch.where(fields < 0, -fields, torch.inf)
            moved = torch.argsort(nearness)[: (1 - votes) // 2]
            weights[moved] += rate * labels[m] * units[m][moved]
            weights[moved] *= (machine.fan_in**0.5) / weights[moved].norm(dim=1, keepdim=True)
    return epochs / (time.perf_counter() - begun)


def torch_patterns(machine: gpumc.TreeCommittee, patterns: gpumc.Patterns) -> tuple[Any, Any]:
    """The inputs (patterns, units, fan_in) and the labels as tensors."""
    units = torch.tensor(patterns.xi[0].reshape(-1, machine.k, machine.fan_in), dtype=torch.float64)
    return units, torch.tensor(patterns.labels[0], dtype=torch.float64)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Epochs a second of learners.")
    parser.add_argument("--n", type=int, default=999)
    parser.add_argument("--starts", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    machine = gpumc.TreeCommittee(options.n, k=9, weights="spherical")
    patterns = gpumc.random_patterns(machine, 2.0, seed=1)  # more than can be learned: all epochs are made
    print(f"| learner | one start | {options.starts} starts | ratio | PyTorch, one start | part of the product rate |")
    print("|---|---|---|---|---|---|")
    for learner in (gpumc.LeastAction(epochs=options.epochs), gpumc.CrossEntropySGD(epochs=options.epochs)):
        alone, many = (
            epochs_a_second(machine, patterns, learner, starts, options.device) for starts in (1, options.starts)
        )
        peer, part = float("nan"), ""
        if isinstance(learner, gpumc.CrossEntropySGD):
            work = many * 4 * patterns.count * machine.n
            part = f"{work / product_rate(machine, options.starts, learner.batch):.2f}"
            if torch:
                peer = torch_descents_a_second(machine, patterns, learner.epochs, learner.batch)
        elif torch:
            peer = torch_least_actions_a_second(machine, patterns, learner.epochs, learner.rate)
        print(f"| {learner.kind} | {alone:.2f} | {many:.2f} | {many / alone:.1f} | {peer:.2f} | {part} |", flush=True)


if __name__ == "__main__":
    main()
