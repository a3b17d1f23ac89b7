"""Runs whose tasks are done by other processes: they have the bits of one process, whatever happens to the workers."""

import contextlib
import itertools
import json
import math
import os
import random
import re
import signal
import subprocess
import sys
import time

import distributed
import numpy as np
import psutil
import pytest

from gpumc.results import load
from gpumc.sweeps.execution import execute, prepare
from tests.promises.files_and_faults.test_kills import BINARY, SPHERES, VOLUMES, written
from tests.variants import same_bits

#: Many seconds of a task, on any machine: it is ended by the test.
LONG = BINARY.replace("sweeps = 2000, every = 100", "sweeps = 3000000, every = 1000000")
CALM = {**os.environ, "OMP_NUM_THREADS": "1", "GPUMC_THREADS": "1"}


def alone(tmp_path, text):
    """What one process makes of a config."""
    folder = prepare(written(tmp_path, text), [], tmp_path / "alone")
    execute(folder, "cpu", lambda *_: None)
    return load(folder.merged)


def of_sweeps(text, sweeps) -> str:
    """The config with another number of sweeps, which records ten times."""
    return re.sub(r"sweeps = \d+, every = \d+", f"sweeps = {sweeps}, every = {sweeps // 10}", text)


def lasting(folder, text, seconds) -> str:
    """A config of four tasks, each of which takes about so many seconds on this machine, however fast it is."""
    text, trial, took = text.replace("[0.3, 0.5]", "[0.3, 0.5, 0.6, 0.7]"), 6000, 0.0
    for name in ("compiled", "timed"):
        (folder / name).mkdir()
        start = time.monotonic()
        alone(folder / name, of_sweeps(text, trial))
        took = time.monotonic() - start
    return of_sweeps(text, math.ceil(4 * seconds / took * trial / 10) * 10)


def command(config, out, *more):
    return [sys.executable, "-m", "gpumc.cli", "run", *map(str, (config, "--out", out, "--device", "cpu", *more))]


def begun(command):
    """A process that belongs to no group of ours, so that it can be sent what a terminal sends to all of its processes."""
    return subprocess.Popen(
        list(map(str, command)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=CALM,
        start_new_session=True,
    )


def waited_for(happens, seconds=60.0):
    until = time.monotonic() + seconds
    while not (found := happens()) and time.monotonic() < until:
        time.sleep(0.1)
    assert found
    return found


@pytest.mark.parametrize("text", [BINARY, SPHERES], ids=["binary", "spheres"])
def test_two_workers_give_the_bits_of_one_process(tmp_path, text):
    before = alone(tmp_path, text)
    done = subprocess.run(
        command(written(tmp_path, text), tmp_path / "two", "--workers", "2"),
        env=CALM,
        capture_output=True,
        text=True,
        check=True,
    )
    after = load(tmp_path / "two" / "small.h5")
    assert same_bits(after.drop_attrs(), before.drop_attrs())
    assert after.attrs.keys() == before.attrs.keys()
    assert "distributed" not in done.stderr
    assert not list((tmp_path / "two").glob("checkpoints/*"))
    assert not (tmp_path / "two" / "retries.json").exists()


def running(folder) -> list[dict]:
    """What a folder says of the tasks that run."""
    with contextlib.suppress(OSError, ValueError):
        return json.loads((folder / "progress.json").read_text())
    return []


@pytest.mark.parametrize("asked", [signal.SIGTERM, signal.SIGINT])
def test_workers_write_checkpoints_when_the_client_is_asked_to_end(tmp_path, asked):
    """SIGTERM to the client alone, and Ctrl-C, which a terminal sends to the workers, too."""
    process = begun(command(written(tmp_path, LONG), tmp_path / "out", "--workers", "2"))
    waited_for(lambda: len(running(tmp_path / "out")) == 2)
    workers = psutil.Process(process.pid).children(recursive=True)
    listening = [
        c.laddr.ip
        for one in (psutil.Process(process.pid), *workers)
        for c in one.net_connections("tcp")
        if c.status == "LISTEN"
    ]
    assert set(listening) == {"127.0.0.1"}
    start = time.monotonic()
    if asked == signal.SIGINT:
        os.killpg(process.pid, asked)
    else:
        process.send_signal(asked)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + asked, said
    assert len(said.strip().splitlines()) <= 3, said
    assert time.monotonic() - start < 15
    assert not psutil.wait_procs(workers, timeout=5)[1]
    kept = [path for path in (tmp_path / "out" / "checkpoints").iterdir() if re.fullmatch(r"task-\d+\.npz", path.name)]
    assert len(kept) == 2
    for path in kept:
        with np.load(path) as arrays:
            assert int(arrays["state_sweep"]) > 0


def test_what_fails_on_a_worker_is_said_as_here(tmp_path):
    """In one sentence, of any of the tasks; a device that this machine does not have is noticed by the worker that should use it."""
    config = written(tmp_path, BINARY)
    here, there = (
        subprocess.run(
            [*command(config, tmp_path / name)[:-1], "cuda:99", *more],
            env=CALM,
            capture_output=True,
            text=True,
            check=False,
        )
        for name, more in (("here", ()), ("there", ("--workers", "1")))
    )
    assert (here.returncode, here.stderr) == (there.returncode, there.stderr)
    assert here.returncode == 1
    assert here.stderr.startswith("gpumc: device = 'cuda:99': ")


def test_a_scheduler_that_is_not_there(tmp_path, within, monkeypatch):
    monkeypatch.setattr("gpumc.sweeps.distributed.dask_clusters.ANSWERS", 1.0)
    done = within(*command(written(tmp_path, BINARY), tmp_path / "out", "--scheduler", "tcp://127.0.0.1:1")[3:])
    assert done.returncode == 1
    assert done.stderr.startswith("gpumc: there is no scheduler of dask at tcp://127.0.0.1:1 (")
    both = within(*command(tmp_path / "small.toml", tmp_path / "out", "--workers", "2", "--scheduler", "tcp://a:1")[3:])
    assert (both.returncode, both.stderr) == (2, "gpumc: --workers and --scheduler: one of them is possible\n")


def test_without_dask(tmp_path, within, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("gpumc.sweeps.distributed")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "distributed", None)
    done = within(*command(written(tmp_path, BINARY), tmp_path / "out", "--workers", "2")[3:])
    assert (done.returncode, done.stderr) == (2, "gpumc: workers need dask: pip install 'gpumc[distributed]'\n")
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    return lasting(tmp_path_factory.mktemp("trial"), BINARY, 3.0)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, short):
    return alone(tmp_path_factory.mktemp("short"), short)


@pytest.fixture
def scheduler(tmp_path):
    """A scheduler in a process of its own: its address, and a function that starts workers with options of `dask worker`."""
    at = tmp_path / "scheduler.json"
    shared = ["--host", "127.0.0.1", "--no-dashboard"]
    module = [sys.executable, "-m", "distributed.cli.dask_scheduler", *shared, "--port", 0, "--scheduler-file", at]
    processes = [begun(module)]

    def worker(number, *options):
        of_own = ["--nthreads", 1, "--name", f"w-{number}", "--local-directory", tmp_path / "dask", *options]
        processes.append(begun([sys.executable, "-m", "distributed.cli.dask_worker", address, *shared, *of_own]))
        return processes[-1]

    try:
        waited_for(at.exists)
        address = waited_for(lambda: json.loads(at.read_text() or "{}").get("address"))
        yield address, worker
    finally:
        for process in reversed(processes):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def test_a_worker_that_is_killed(tmp_path, scheduler, short, undisturbed):
    """Its task goes on elsewhere, from its checkpoint; shards that are finished stay, retries are counted, and no bit is another."""
    address, worker = scheduler
    workers = [worker(0, "--no-nanny"), worker(1, "--no-nanny")]
    config, out = written(tmp_path, short), tmp_path / "out"
    process = begun(command(config, out, "--scheduler", address, "--checkpoint-every", "0.2"))
    shards = waited_for(lambda: list(out.glob("shards/task-*.h5")))
    made = {path: path.stat().st_mtime_ns for path in shards}
    workers[0].kill()
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert {path: path.stat().st_mtime_ns for path in shards} == made
    assert same_bits(load(out / "small.h5").drop_attrs(), undisturbed.drop_attrs())
    retries = json.loads((out / "retries.json").read_text())
    assert list(retries.values()) == [1]
    told = subprocess.run(
        [sys.executable, "-m", "gpumc.cli", "status", out], capture_output=True, text=True, check=True
    ).stdout
    assert f"1 times a worker was lost, and its task begun again: task {int(next(iter(retries))) + 1}\n" in told
    workers[1].send_signal(signal.SIGTERM)  # the plugin leaves a worker of others its way of ending
    assert workers[1].wait(timeout=30) == 0


def test_workers_whose_time_is_over(tmp_path, scheduler, short, undisturbed):
    """Their tasks write checkpoints, from which other workers go on: none is lost. The same for one that is asked to end by SIGTERM."""
    address, worker = scheduler
    config, out = written(tmp_path, short), tmp_path / "out"
    first, second = (
        worker(0, "--lifetime", "25s"),
        worker(1),
    )  # the time of the first is over when its task has just begun
    with distributed.Client(address) as client:
        client.wait_for_workers(2, timeout=60)
    process = begun(command(config, out, "--scheduler", address, "--checkpoint-every", "1e9"))
    waited_for(lambda: any(one["worker"] == "w-1" for one in running(out)))
    for child in psutil.Process(second.pid).children(recursive=True):
        child.send_signal(signal.SIGTERM)
    second.send_signal(signal.SIGTERM)
    assert first.wait(timeout=40) == 0
    assert second.wait(timeout=40) == 0
    assert waited_for(lambda: list(out.glob("checkpoints/task-*.npz")))
    worker(2)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert not (out / "retries.json").exists()
    assert same_bits(load(out / "small.h5").drop_attrs(), undisturbed.drop_attrs())


def of_run(process) -> list[psutil.Process]:
    """The processes of a client's workers."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return [
            one for one in psutil.Process(process.pid).children(recursive=True) if "spawn_main" in str(one.cmdline())
        ]
    return []


def some_is_killed(process, moments) -> None:
    """Kill a worker, the client and so all of it, or ask the client to end; without the client none of its processes stays."""
    fate, workers = moments.choice(["worker", "client", "asked"]), of_run(process)
    if fate == "worker" and workers:
        with contextlib.suppress(psutil.NoSuchProcess):
            moments.choice(workers).kill()
        return
    process.send_signal(signal.SIGTERM if fate == "asked" else signal.SIGKILL)
    process.communicate(timeout=60)
    for one in psutil.wait_procs(workers, timeout=10)[1]:
        one.kill()


@pytest.mark.parametrize(
    ("text", "sweeps", "kills"),
    [
        pytest.param(BINARY, 12_000, 3, id="binary"),
        pytest.param(BINARY, 60_000, 40, id="binary, longer", marks=pytest.mark.long),
        pytest.param(SPHERES, 1_500, 20, id="spheres", marks=pytest.mark.long),
        pytest.param(VOLUMES, 60_000, 20, id="volumes", marks=pytest.mark.long),
    ],
)
def test_killed_at_random_moments(tmp_path, text, sweeps, kills):
    """No shard that is finished is lost or made again, and what comes out has the bits of a run that was left alone."""
    text = (
        of_sweeps(text, sweeps)
        .replace("every = 500}", f"every = {sweeps // 4}}}")
        .replace("[0.3, 0.5]", "[0.3, 0.4, 0.5, 0.6]")
    )
    before, moments, left = alone(tmp_path, text), random.Random(11), kills
    for number in itertools.count():
        if not left:
            break
        out = tmp_path / f"out{number}"
        done = killed(
            out, command(tmp_path / "small.toml", out, "--workers", "2", "--checkpoint-every", "0.3"), moments, left
        )
        assert done, "the run has ended before it could be killed: it is too short for this test"
        left -= done
        assert same_bits(load(out / "small.h5").drop_attrs(), before.drop_attrs())


def killed(out, call, moments, most) -> int:
    """Kill a run at most so many times, then let it end: how often it was killed. Its shards stay as they are once they are there."""
    process, made, done = begun(call), {}, 0
    while done < most:
        since = time.time()  # a moment after a task has kept its state
        waited_for(lambda: process.poll() is not None or _newest(out) > since)  # noqa: B023
        time.sleep(moments.uniform(0, 1.5))
        if process.poll() is not None:
            break
        some_is_killed(process, moments)
        done += 1
        shards = {path: path.stat().st_mtime_ns for path in (out / "shards").glob("task-*.h5")}
        assert made.items() <= shards.items()
        made = shards
        if process.poll() is not None:
            process = begun(call)
    _, said = process.communicate()
    assert process.returncode == 0, said
    assert made.items() <= {path: path.stat().st_mtime_ns for path in made}.items()
    return done


def _newest(folder) -> float:
    """When the last checkpoint was written."""
    times = [0.0]
    for path in folder.glob("checkpoints/task-*.npz"):
        with contextlib.suppress(OSError):
            times.append(path.stat().st_mtime)
    return max(times)
