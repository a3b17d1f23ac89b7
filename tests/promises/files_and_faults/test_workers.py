"""Runs whose tasks are done by other processes: they have the bits of one process, whatever happens to the workers."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest

from gpumc.results import load
from gpumc.sweeps.execution import execute, prepare
from tests.promises.files_and_faults.test_kills import BINARY, SPHERES
from tests.variants import same_bits

#: A task of it takes half a minute.
LONG = BINARY.replace("sweeps = 2000, every = 100", "sweeps = 300000, every = 100000")
CALM = {**os.environ, "OMP_NUM_THREADS": "1", "GPUMC_THREADS": "1"}


def written(tmp_path, text):
    path = tmp_path / "small.toml"
    path.write_text(text)
    return path


def alone(tmp_path, text):
    """What one process makes of a config."""
    folder = prepare(written(tmp_path, text), [], tmp_path / "alone")
    execute(folder, "cpu", lambda *_: None)
    return load(folder.merged)


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


@pytest.fixture
def cluster(tmp_path):
    """A scheduler and two workers, each a process of its own: the scheduler's address and the workers."""
    at = tmp_path / "scheduler.json"
    options = ["--host", "127.0.0.1", "--no-dashboard"]
    module = [sys.executable, "-m", "distributed.cli.dask_scheduler", *options, "--port", 0, "--scheduler-file", at]
    processes = [begun(module)]
    try:
        waited_for(at.exists)
        address = waited_for(lambda: json.loads(at.read_text() or "{}").get("address"))
        for number in range(2):
            of_own = ["--nthreads", 1, "--no-nanny", "--name", f"w-{number}", "--local-directory", tmp_path / "dask"]
            processes.append(begun([sys.executable, "-m", "distributed.cli.dask_worker", address, *options, *of_own]))
        yield address, processes[1:]
    finally:
        for process in reversed(processes):
            process.kill()
            process.communicate()


def test_a_worker_that_is_killed(tmp_path, cluster):
    """Its task goes on elsewhere, from its checkpoint; shards that are finished stay, retries are counted, and no bit is another."""
    address, workers = cluster
    text = BINARY.replace("sweeps = 2000, every = 100", "sweeps = 6000, every = 1000")
    text = text.replace("[0.3, 0.5]", "[0.3, 0.5, 0.6, 0.7]")
    before = alone(tmp_path, text)
    config, out = written(tmp_path, text), tmp_path / "out"
    process = begun(command(config, out, "--scheduler", address, "--checkpoint-every", "0.2"))
    shards = waited_for(lambda: list(out.glob("shards/task-*.h5")))
    made = {path: path.stat().st_mtime_ns for path in shards}
    workers[0].kill()
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert {path: path.stat().st_mtime_ns for path in shards} == made
    assert same_bits(load(out / "small.h5").drop_attrs(), before.drop_attrs())
    retries = json.loads((out / "retries.json").read_text())
    assert list(retries.values()) == [1]
    told = subprocess.run(
        [sys.executable, "-m", "gpumc.cli", "status", out], capture_output=True, text=True, check=True
    ).stdout
    assert f"1 times a worker was lost, and its task begun again: task {int(next(iter(retries))) + 1}\n" in told
    workers[1].send_signal(signal.SIGTERM)  # the plugin leaves a worker of others its way of ending
    assert workers[1].wait(timeout=30) == 0
