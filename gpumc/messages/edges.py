"""Belief propagation with a message on every edge: relaxed (Gaussian fields), or exact at each node by dynamic programming.

A message is half the log ratio of the probabilities that a pattern gives to xi W = +1 and -1; the memory is all of
them, (rows, units, patterns, fan_in). The free entropy is Bethe's: M. Mezard, A. Montanari, Information, Physics, and
Computation (2009), eq. 14.27. Exact messages have kernels, in ``kernels/edges.cu``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from gpumc.channels.counting import IMPOSSIBLE
from gpumc.device import kernel, workspace
from gpumc.device.kernels import LINE
from gpumc.machines import Machine
from gpumc.messages.amp import ATTEMPTS, Amp
from gpumc.messages.graph import Graph
from gpumc.messages.likelihoods import Channel
from gpumc.messages.marginals import Marginals, light, reals

#: The strongest message that is passed on, so that two certainties that contradict each other leave a number.
STRONGEST = 50.0


@dataclass(frozen=True)
class _Edges(ABC):
    """One iteration, the interaction part of the free entropy, and the energy; a closure adds `_messages`, `_log_z` and
    `_energy`."""

    attempts: ClassVar = ATTEMPTS

    graph: Graph
    channel: Channel

    def rows(self, chosen):
        """The same for some of the rows."""
        return type(self)(self.graph.rows(chosen), self.channel.rows(chosen))

    def memory(self, dtype: type) -> np.ndarray:
        """The memory before the first iteration."""
        graph = self.graph
        shape = (len(graph.instance), graph.machine.k, graph.pattern_count, graph.machine.fan_in)
        return graph.device.xp.zeros(shape, dtype)

    def step(self, now: Marginals, memory: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See :meth:`gpumc.messages.amp.Amp.step`."""
        if self.graph.device.kind != "numpy":
            messages = self._sent(now.fields, memory)
            return self._gathered(messages), messages
        xi = self.graph.edges()
        messages = self._messages(xi * now.fields[:, :, None] - memory)
        messages = self.graph.device.xp.clip(messages, -STRONGEST, STRONGEST)
        return (xi * messages).sum(axis=2), messages

    def interaction(self, fields: np.ndarray, incoming: np.ndarray, memory: np.ndarray) -> np.ndarray:
        """See :meth:`gpumc.messages.amp.Amp.interaction`."""
        cavity = self._cavity(fields, memory)
        weight_terms = self._log_cosh(fields).sum(axis=(1, 2)) * self.graph.pattern_count
        return self._log_z(cavity).sum(axis=1) - weight_terms + self._log_cosh(cavity).sum(axis=(1, 2, 3))

    def energy(self, fields: np.ndarray, memory: np.ndarray) -> np.ndarray:
        """The mean loss (rows,)."""
        return self._energy(self._cavity(fields, memory))

    @abstractmethod
    def _sent(self, fields: np.ndarray, memory: np.ndarray) -> np.ndarray:
        """The messages of :meth:`step`, by kernels."""

    def _gathered(self, messages: np.ndarray) -> np.ndarray:
        """What the weights get: (rows, units, fan_in)."""
        real, defines = reals(messages)
        rows, units, patterns, fan_in = messages.shape
        found = self.graph.device.xp.empty((rows, units, fan_in), messages.dtype)
        signature = (f"const {real}*", "const int64*", f"const {real}*", f"{real}*", *["int64"] * 4)
        run = kernel(self.graph.device, "edges.cu", "gather_messages", signature, defines)
        xi = self.graph.xi
        run(
            rows * units,
            xi,
            self.graph.places,
            messages,
            found,
            units,
            xi.shape[1],
            patterns,
            fan_in,
            light=light(messages.size // 8),
        )
        return found

    @abstractmethod
    def _messages(self, cavity: np.ndarray) -> np.ndarray:
        """The messages to every weight."""

    @abstractmethod
    def _log_z(self, cavity: np.ndarray) -> np.ndarray:
        """Each factor's log Z: (rows, patterns)."""

    @abstractmethod
    def _energy(self, cavity: np.ndarray) -> np.ndarray:
        """The mean loss (rows,)."""

    def _cavity(self, fields: np.ndarray, memory: np.ndarray) -> np.ndarray:
        """Half the log odds of xi W = +1 in a pattern's absence."""
        return self.graph.edges() * fields[:, :, None] - memory

    def _log_cosh(self, x: np.ndarray) -> np.ndarray:
        return self.graph.device.xp.logaddexp(x, -x)


class Relaxed(_Edges):
    """Fields of units are Gaussian, and a message is their effect's difference between both signs of its weight."""

    @staticmethod
    def row_size(machine: Machine, patterns: int) -> int:
        """The numbers that a row takes."""
        return Amp.row_size(machine, patterns) + 12 * machine.weight_count * patterns

    def _moments(self, cavity: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        xp = self.graph.device.xp
        return xp.tanh(cavity), xp.maximum(1 / xp.cosh(xp.clip(cavity, -300, 300)) ** 2, np.finfo(cavity.dtype).tiny)

    def _field(self, cavity: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        means, variances = self._moments(cavity)
        return means.sum(axis=3), variances.sum(axis=3)

    def _messages(self, cavity: np.ndarray) -> np.ndarray:
        xp = self.graph.device.xp
        means, variances = self._moments(cavity)
        mean, variance = means.sum(axis=3), variances.sum(axis=3)
        cavity_variance = xp.maximum(variance[..., None] - variances, np.finfo(cavity.dtype).tiny)
        return self.channel.pushed(mean, variance, mean[..., None] - means, cavity_variance)

    def _sent(self, fields: np.ndarray, memory: np.ndarray) -> np.ndarray:
        xp = self.graph.device.xp
        real, defines = reals(memory)
        moments = xp.empty_like(memory[..., 0]), xp.empty_like(memory[..., 0])
        of_cavities = xp.empty_like(memory), xp.empty_like(memory)
        signature = (
            *(f"const {real}*", "const int64*"),
            *[f"const {real}*"] * 2,
            *[f"{real}*"] * 4,
            *("float64", *["int64"] * 4),
        )
        run = kernel(self.graph.device, "edges.cu", "cavity_fields", signature, defines)
        units, patterns, fan_in = memory.shape[1:]
        xi, least = self.graph.xi, float(np.finfo(memory.dtype).tiny)
        of_edges = xi, self.graph.places, fields, memory
        run(
            moments[0].size,
            *of_edges,
            *moments,
            *of_cavities,
            least,
            units,
            xi.shape[1],
            patterns,
            fan_in,
            light=light(memory.size),
        )
        return xp.clip(self.channel.pushed(*moments, *of_cavities), -STRONGEST, STRONGEST)

    def _log_z(self, cavity: np.ndarray) -> np.ndarray:
        return self.channel.gaussian(*self._field(cavity)).log_z

    def _energy(self, cavity: np.ndarray) -> np.ndarray:
        return self.channel.energy(*self._field(cavity))


class Exact(_Edges):
    """The distribution of the number of positive products xi W, input by input: O(fan_in^2) for a unit and pattern."""

    @staticmethod
    def row_size(machine: Machine, patterns: int) -> int:
        """The numbers that a row takes."""
        return Amp.row_size(machine, patterns) + 4 * (machine.fan_in + 1) * machine.weight_count * patterns

    def _sent(self, fields: np.ndarray, memory: np.ndarray) -> np.ndarray:
        log_counts = self._launch("count_products", fields, memory, (), memory.shape[3] + 1)
        log_factor = self.channel.counted(log_counts).log_factor
        ascontiguous = self.graph.device.xp.ascontiguousarray  # some channels broadcast
        return self._launch("send_messages", fields, memory, (ascontiguous(log_factor),), memory.shape[3])

    def _launch(
        self, name: str, fields: np.ndarray, memory: np.ndarray, read: tuple[np.ndarray, ...], width: int
    ) -> np.ndarray:
        """What a kernel makes of the edges: (rows, units, patterns, ``width``)."""
        device = self.graph.device
        real, defines = reals(fields)
        units, patterns, fan_in = memory.shape[1:]
        items = memory[..., 0].size
        # The distributions before each input and behind the last, and two likelihoods.
        size = -(-8 * (fan_in + 1) * (fan_in + 6) // 2 // LINE) * LINE
        found = device.xp.empty((*memory.shape[:3], width), memory.dtype)
        signature = (
            *(f"const {real}*", "const int64*"),
            *[f"const {real}*"] * (2 + len(read)),
            *("workspace uint8*", f"{real}*", *["int64"] * 5),
        )
        run = kernel(device, "edges.cu", name, signature, defines)
        xi, space = self.graph.xi, workspace(device, items, size)
        of_edges = xi, self.graph.places, fields, memory
        run(
            items,
            *of_edges,
            *read,
            space,
            found,
            size,
            units,
            xi.shape[1],
            patterns,
            fan_in,
            light=light(memory.size * fan_in),
        )
        return found

    def _logarithms(self, cavity: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """log P(xi W = 1) and log P(xi W = -1)."""
        xp = self.graph.device.xp
        return -xp.logaddexp(0, -2 * cavity), -xp.logaddexp(0, 2 * cavity)

    def _before(self, log_p: np.ndarray, log_q: np.ndarray) -> list[np.ndarray]:
        """For each input, log P(so many products before it are positive): (rows, units, patterns, count)."""
        xp = self.graph.device.xp
        log_counts = [xp.zeros_like(log_p[..., :1])]
        for i in range(log_p.shape[3]):
            never = xp.full_like(log_p[..., :1], IMPOSSIBLE)
            stay, rise = log_counts[-1] + log_q[..., i, None], log_counts[-1] + log_p[..., i, None]
            log_counts.append(
                xp.logaddexp(xp.concatenate([stay, never], axis=-1), xp.concatenate([never, rise], axis=-1))
            )
        return log_counts

    def _messages(self, cavity: np.ndarray) -> np.ndarray:
        xp = self.graph.device.xp
        log_p, log_q = self._logarithms(cavity)
        before = self._before(log_p, log_q)
        after = self.channel.counted(before[-1]).log_factor
        messages = xp.empty_like(cavity)
        for i in reversed(range(cavity.shape[3])):
            messages[..., i] = (
                self._log_sum(before[i] + after[..., 1:]) - self._log_sum(before[i] + after[..., :-1])
            ) / 2
            after = xp.logaddexp(after[..., :-1] + log_q[..., i, None], after[..., 1:] + log_p[..., i, None])
        return messages

    def _log_sum(self, terms: np.ndarray) -> np.ndarray:
        xp = self.graph.device.xp
        top = terms.max(axis=-1, keepdims=True)
        return xp.log(xp.exp(terms - top).sum(axis=-1)) + top[..., 0]

    def _counted(self, cavity: np.ndarray):
        return self.channel.counted(self._before(*self._logarithms(cavity))[-1])

    def _log_z(self, cavity: np.ndarray) -> np.ndarray:
        return self._counted(cavity).log_z

    def _energy(self, cavity: np.ndarray) -> np.ndarray:
        return self._counted(cavity).energy
