"""Memory: limits of the job are seen, tables stay small, and what no memory holds is refused."""

import tracemalloc

import pytest

import gpumc
from gpumc.device import Device, choose, memory
from gpumc.errors import DeviceError
from gpumc.sampling import binary
from gpumc.state import word_count
from tests.variants import same_bits

MIB, GIB = 2**20, 2**30
NONE = 9223372036854771712


@pytest.fixture
def system(tmp_path, monkeypatch):
    """A made-up /proc with 8 GiB available, and the folders of control groups; a function that writes a file."""

    def write(name: str, text: object) -> None:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")

    monkeypatch.setattr(memory, "PROC", tmp_path / "proc")
    write("proc/meminfo", f"MemTotal: 1 kB\nMemAvailable:   {8 * 2**20} kB")
    return write


def mounted(folder, root: str, rest: str) -> str:
    return f"35 31 0:32 {root} {folder} rw,relatime - {rest}"


def test_without_limits(system):
    assert memory.free_host_memory() == 8 * GIB


@pytest.mark.parametrize("root", ["/", "/job"], ids=["host", "container"])
def test_the_groups_own_and_outer_limits_of_version_2(system, tmp_path, root):
    system("proc/self/cgroup", "0::/job/step_0")
    system("proc/self/mountinfo", mounted(tmp_path / "cg", root, "cgroup2 cgroup2 rw"))
    inside = "cg/job" if root == "/" else "cg"
    system(f"{inside}/step_0/memory.max", "max")
    system(f"{inside}/step_0/memory.current", 100 * MIB)
    assert memory.free_host_memory() == 8 * GIB
    system(f"{inside}/memory.max", 1500 * MIB)
    system(f"{inside}/memory.current", 1000 * MIB)
    assert memory.free_host_memory() == 500 * MIB
    system(f"{inside}/memory.stat", f"anon 7\ninactive_file {100 * MIB}\nactive_file {50 * MIB}")
    assert memory.free_host_memory() == 650 * MIB, "caches of files give way"
    system(f"{inside}/step_0/memory.max", 300 * MIB)
    assert memory.free_host_memory() == 200 * MIB


def test_limits_of_version_1(system, tmp_path):
    system("proc/self/cgroup", "9:name=systemd:/\n4:cpu,memory:/user/job\n0::/")
    other = mounted(tmp_path / "other", "/", "cgroup cgroup rw,cpuset")
    system("proc/self/mountinfo", other + "\n" + mounted(tmp_path / "cg", "/", "cgroup cgroup rw,cpu,memory"))
    for group, limit in (("cg", NONE), ("cg/user", NONE), ("cg/user/job", 1500 * MIB)):
        system(f"{group}/memory.limit_in_bytes", limit)
        system(f"{group}/memory.usage_in_bytes", 200 * MIB)
    assert memory.free_host_memory() == 1300 * MIB


@pytest.mark.skipif(memory.resource is None, reason="limits of Unix")
@pytest.mark.parametrize(("limit", "used"), [("RLIMIT_AS", "VmSize"), ("RLIMIT_DATA", "VmData")])
def test_limits_of_the_address_space(system, monkeypatch, limit, used):
    number = getattr(memory.resource, limit)
    infinite = memory.resource.RLIM_INFINITY
    monkeypatch.setattr(memory.resource, "getrlimit", lambda n: (2500 * MIB if n == number else infinite, infinite))
    system("proc/self/status", f"{used}:\t {700 * 1024} kB")
    assert memory.free_host_memory() == 1800 * MIB


RAMP = gpumc.LocalEntropy(gpumc.ErrorCount(), gpumc.Ramp(0.5, 3.0, over="run"), 0.1, 3)


def test_tables_of_long_ramps_stay_small():
    machine = gpumc.Perceptron(21)
    patterns = gpumc.random_patterns(machine, 2.0, seed=1)
    settings = {"chains": 1, "burn_in": 40_000, "sweeps": 10, "every": 10, "device": "cpu"}
    gpumc.sample(machine, patterns, RAMP, **settings | {"burn_in": 0, "sweeps": 1, "every": 1})
    tracemalloc.start()
    try:
        gpumc.sample(machine, patterns, RAMP, **settings)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 1.2 * binary.TABLES  # all at once they take 340 MB


@pytest.mark.parametrize("device", ["cpu", "numpy"])
def test_tables_in_pieces_change_no_bit(device, monkeypatch):
    machine = gpumc.Perceptron(21)
    patterns = gpumc.random_patterns(machine, 1.0, 2, seed=1)
    settings = {"chains": 3, "burn_in": 20, "sweeps": 20, "every": 10, "device": device}
    whole = gpumc.sample(machine, patterns, RAMP, **settings)
    monkeypatch.setattr(binary, "TABLES", 40_000)
    pieces = []
    advance = binary.sweep.advance
    monkeypatch.setattr(binary.sweep, "advance", lambda *given: (pieces.append(given[-1]), advance(*given)))
    assert same_bits(gpumc.sample(machine, patterns, RAMP, **settings), whole)
    assert max(pieces) < 8


@pytest.mark.parametrize(
    "measure",
    [gpumc.Gibbs(gpumc.ErrorCount(), 5.0), gpumc.LocalEntropy(gpumc.ErrorCount(), 5.0, 0.5, 3)],
    ids=["gibbs", "replicas"],
)
def test_ten_times_the_chains_take_their_own_arrays_and_records(measure):
    machine, instances = gpumc.Perceptron(1001), 2
    patterns = gpumc.random_patterns(machine, 0.4, instances, seed=1)

    def peak(chains):
        tracemalloc.start()
        try:
            run = gpumc.sample(machine, patterns, measure, chains=chains, burn_in=0, sweeps=2, every=1, device="cpu")
            return tracemalloc.get_traced_memory()[1], run.nbytes
        finally:
            tracemalloc.stop()

    peak(3)  # caches
    (few, recorded), (many, ten_times) = peak(400), peak(4000)
    words, y = word_count(machine.weight_count), measure.replicas
    walker = 4 * words + 2 * patterns.count + 8 + 8  # weights, fields, energy, flips
    population = instances * 3600 * (y * walker + (4 * words if y > 1 else 0))
    assert many - few < ten_times - recorded + population


BALL = gpumc.Perceptron(20, weights="spherical")


def sampled(machine, patterns):
    measure = gpumc.Gibbs(gpumc.CrossEntropy(1.0), 1.0)
    return gpumc.sample(machine, patterns, measure, chains=1, burn_in=0, sweeps=1, device="cpu")


def passed(machine, patterns):
    return gpumc.entropy(machine, patterns, method="bp", device="cpu")


def split(machine, patterns):
    return gpumc.entropy(machine, patterns, method=gpumc.Splitting(), device="cpu")


@pytest.mark.parametrize(
    ("machine", "method"),
    [(gpumc.Perceptron(21), sampled), (BALL, sampled), (gpumc.Perceptron(21), passed), (BALL, split)],
)
def test_what_no_memory_holds_is_refused(machine, method, monkeypatch):
    patterns = gpumc.random_patterns(machine, 1.0, seed=1)
    monkeypatch.setattr(Device, "free_memory", lambda self: 5000)
    with pytest.raises(DeviceError, match=r"needs .* GiB of memory, and 0\.0 GiB are free for device cpu: make it"):
        method(machine, patterns)


def test_records_that_no_memory_holds_are_refused():
    machine = gpumc.Perceptron(21)
    patterns = gpumc.random_patterns(machine, 1.0, seed=1)
    free = choose("numpy").free_memory()
    with pytest.raises(DeviceError, match=r"draws of 1000 chains of 1 instances give needs .* GiB of memory"):
        gpumc.sample(machine, patterns, RAMP, chains=1000, burn_in=0, sweeps=free // 1000, device="numpy")
