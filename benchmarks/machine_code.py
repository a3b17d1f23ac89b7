"""What the sweeps of W1 to W4 become on a GPU: registers, shared memory, warps at once, and instructions of a step, without a GPU.

    python -m benchmarks.machine_code [--arch 90] [--kernels FOLDER] [--json FILE]

NVRTC compiles (`pip install 'gpumc[cuda13]'`); `nvdisasm` and `cuobjdump` of a CUDA toolkit (or of the `triton` package) are in the PATH.

Instructions are those of a warp along the shortest way around the loop over sites: of a proposal that is refused, for 32 chains, or for one
where patterns are in registers; its part of what is prepared for 4 or 32 sites (random words); of a flip beyond that, loops within it
counted once; and of a site of the centre of one chain.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import tempfile
from collections import deque
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from gpumc import bench
from gpumc.device import cuda, source
from gpumc.device.constants import Centre
from gpumc.launch import Form, sweep_variant
from gpumc.sampling import acceptance
from gpumc.state import Model, word_count

#: Of a multiprocessor (sm_90): registers and bytes of shared memory; threads of a block.
REGISTERS, SHARED, THREADS = 2**16, 227 << 10, 128


def main() -> None:
    parser = argparse.ArgumentParser(description="What the sweeps of W1 to W4 become on a GPU.")
    parser.add_argument("--arch", default="90")
    parser.add_argument("--kernels", type=Path, default=source.folder())
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    found = {
        f"{work.name}, sizes as {kind}": figures(arguments.kernels, macros, arguments.arch)
        for work in bench.workloads()
        for kind, macros in variants(work).items()
    }
    columns = list(next(iter(found.values())))
    print(" " * 24 + "".join(f"{name:>14s}" for name in columns))
    for name, row in found.items():
        print(f"{name:24s}" + "".join(f"{row[column]:14.4g}" for column in columns))
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n")


def variants(work: bench.Workload) -> dict[str, dict[str, int]]:
    """The macros of the sweep's kernel, with sizes as arguments and as constants."""
    patterns, machine, replicas = work.patterns, work.machine, work.measure.replicas
    model = Model.of(machine, [work.measure.loss], patterns.xi, patterns.labels)
    share = -(-model.pattern_count // 32) if model.dense else 0
    general = sweep_variant(model, np.dtype(np.int16), heat_bath=False, form=Form(share=share))
    sizes = {
        "REPLICAS": replicas,
        "WEIGHTS": machine.weight_count,
        "INPUTS": machine.n,
        "UNITS": machine.k,
        "PATTERNS": model.pattern_count,
        "WEIGHT_WORDS": word_count(machine.weight_count),
        "PATTERN_WORDS": model.pattern_bits.shape[-1],
        "CLASSES": len(model.classes),
        "PULLS": len(acceptance.pulls(work.measure)),
        "READOUTS": model.tables.shape[-1],
        "CENTRE": Centre.NONE if work.measure.centre is None else Centre.DRAWN,
    }
    return {"arguments": general, "constants": general | sizes}


def figures(folder: Path, macros: dict[str, int], arch: str) -> dict[str, float]:
    """Of one variant."""
    from cupy_backends.cuda.libs import nvrtc

    program = nvrtc.createProgram(source.text(folder / "sweep.cu"), "sweep.cu", (), ())
    nvrtc.compileProgram(program, (*cuda.OPTIONS, *source.macros(macros), f"-arch=sm_{arch}"))
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(nvrtc.getCUBIN(program) + b"\0")
        file.flush()
        usage, text = (
            subprocess.run([*tool, file.name], capture_output=True, text=True, check=True).stdout
            for tool in (("cuobjdump", "-res-usage"), ("nvdisasm", "-c"))
        )
    used = re.search(r"Function sweep:\s*REG:(\d+) STACK:(\d+) SHARED:(\d+)", usage)
    assert used
    registers, stack, shared = map(int, used.groups())
    blocks = min(REGISTERS // (registers * THREADS), SHARED // (shared + 1024), 16)
    code = Code.of(text.split(".text.sweep:")[1].split("\n.text.")[0])
    steps = code.steps_in_registers() if "SHARE" in macros else code.steps_of_margins()
    return {"registers": registers, "stack": stack, "shared": shared, "warps of 64": blocks * THREADS // 32, **steps}


@dataclass(frozen=True)
class Code:
    """The instructions of a kernel, and where each may go next."""

    instructions: list[str]
    following: list[list[int]]

    @classmethod
    def of(cls, text: str) -> Code:
        instructions: list[str] = []
        labels: dict[str, int] = {}
        for line in text.splitlines():
            if label := re.match(r"(\.L_x_\d+):", line):
                labels[label[1]] = len(instructions)
            elif found := re.match(r"\s+/\*[0-9a-f]{4,}\*/\s+(.*?)\s*;", line):
                instructions.append(found[1])
        following = []
        for place, instruction in enumerate(instructions):
            branch = re.search(r"\bBRA\b(?!\.DIV).*`\((\.L_x_\d+)\)", instruction)
            ends = re.match(r"(BRA|EXIT|RET)\b(?!\.DIV)", instruction)
            following.append(([] if ends else [place + 1]) + ([labels[branch[1]]] if branch else []))
        return cls(instructions, following)

    def shortest(self, start: int, end: int, within: tuple[int, int]) -> int:
        """Instructions on the way, both ends included; 0 where there is none."""
        far, queue = {start: 1}, deque([start])
        while queue and end not in far:
            place = queue.popleft()
            for to in self.following[place]:
                if within[0] <= to <= within[1] and to not in far:
                    far[to] = far[place] + 1
                    queue.append(to)
        return far.get(end, 0)

    def around(self, loop: tuple[int, int], *through: int) -> int:
        """Instructions of the shortest way around the loop, by some places."""
        stops = [loop[0], *through, loop[1]]
        return sum(self.shortest(a, b, loop) for a, b in pairwise(stops)) - len(through)

    def loops(self, *patterns: str) -> list[tuple[int, int]]:
        """The first and last places of the loops that have instructions of these patterns, the shortest first."""
        back = ((to, place) for place, where in enumerate(self.following) for to in where if to <= place)
        having = [
            loop for loop in back if all(self.places(loop, pattern) for pattern in patterns) and self.around(loop)
        ]
        return sorted(having, key=lambda loop: loop[1] - loop[0])

    def places(self, loop: tuple[int, int], pattern: str) -> list[int]:
        return [place for place in range(loop[0], loop[1] + 1) if re.search(pattern, self.instructions[place])]

    def steps_of_margins(self) -> dict[str, float]:
        """The loop over sites makes random words for four of them, and its flips store fields."""
        draw, store = "-0x326172a9", r"STG\.E\.U16"
        loop = self.loops(draw, store)[0]
        proposal, drawn, flipped = (self.around(loop, *self.places(loop, what)[-1:]) for what in ("^$", draw, store))
        return {"proposal": proposal, "prepared": (drawn - proposal) / 4, "flip": flipped - proposal, "centre": 0}

    def steps_in_registers(self) -> dict[str, float]:
        """The loop over sites sums over lanes, and within a flip twice more; the loop around it prepares 32 sites."""
        loop, around = self.loops("REDUX", "LD[GS]")[:2]
        proposal, flipped = self.around(loop), self.around(loop, self.places(loop, "REDUX")[-1])
        prepared = (self.around(around, loop[1]) - proposal) / 32
        centre = sum((end - first + 1) / 32 for first, end in self.loops("-0x326172a9", "VOTE")[:1])
        return {"proposal": proposal, "prepared": prepared, "flip": flipped - proposal, "centre": centre}


if __name__ == "__main__":
    main()
