"""Runs that are killed at random moments: no shard is lost, no more than a checkpoint's interval is done again, and what comes out has the
bits of a run that was left alone."""

import random
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from gpumc.errors import Ended
from gpumc.results import load
from gpumc.sweeps import checkpoints
from gpumc.sweeps.execution import execute, prepare
from tests.variants import same_bits

BINARY = """
name = "small"
seed = 3
machine = {kind = "perceptron", n = 101}
patterns = {kind = "teacher", alpha = [0.3, 0.5], flip = 0.2, instances = 2}
loss = {kind = "cross-entropy", gamma = [0.5, 2.0]}
measure = {beta = 2.0, coupling = 0.3, replicas = 3}
sampler = {chains = 3, burn_in = 20, sweeps = 2000, every = 100}
"""
SPHERES = BINARY.replace("n = 101", 'n = 101, weights = "spherical"').replace(
    "sweeps = 2000, every = 100", "sweeps = 60, every = 20"
)
VOLUMES = BINARY + "volumes = {distance = [0.2, 0.4], every = 500}\n"
LEARNED = """
name = "small"
seed = 3
machine = {kind = "tree-committee", weights = "spherical", n = 99, k = 3}
patterns = {kind = "random", alpha = [2.0, 2.5], instances = 2}
learner = {LEARNER, epochs = 20, starts = 2}
"""
ALL = {
    "binary": BINARY,
    "spheres": SPHERES,
    "volumes": VOLUMES,
    "least-action": LEARNED.replace("LEARNER", 'kind = "entropic-least-action"'),
    "gradient": LEARNED.replace("LEARNER", 'kind = "replicated-sgd", until = "end"'),
    "entropy-sgd": LEARNED.replace("LEARNER", 'kind = "entropy-sgd"'),
}


class Interrupted(BaseException):
    """The process dies here."""


def written(tmp_path, text):
    path = tmp_path / "small.toml"
    path.write_text(text)
    return path


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What runs that are left alone give, by the names of their configs."""
    found = {}
    for name, text in ALL.items():
        home = tmp_path_factory.mktemp(name)
        folder = prepare(written(home, text), [], home / "out")
        execute(folder, "cpu", lambda *_: None)
        found[name] = load(folder.merged).drop_attrs()
        assert not list(folder.path.glob("checkpoints/*")), "a finished task keeps no checkpoint"
    return found


@pytest.mark.parametrize("name", ALL)
def test_tasks_go_on_from_their_last_checkpoint(tmp_path, monkeypatch, whole, name):
    """A process that dies just before or just after a checkpoint costs what was done since the last one, and no bit."""
    folder = prepare(written(tmp_path, ALL[name]), [], tmp_path / "out")
    moments, keep, offered, lost = random.Random(5), checkpoints.Checkpoint.keep, [], 0

    def keep_and_die(self, arrays):
        nonlocal lost
        batch, at = (
            arrays.get("current", np.zeros(4)),
            arrays["state_sweep" if "state_sweep" in arrays else "state_epoch"],
        )
        offered.append((*batch.tolist(), int(at)))
        fate = moments.random()
        if fate < 0.15:
            lost += 1
            raise Interrupted
        keep(self, arrays)
        if fate > 0.85:
            raise Interrupted

    monkeypatch.setattr(checkpoints.Checkpoint, "keep", keep_and_die)
    deaths = 0
    while True:
        try:
            execute(folder, "cpu", lambda *_: None, checkpoint_every=0.0)
            break
        except Interrupted:
            deaths += 1
    assert deaths >= 5
    assert len(offered) == len(folder.tasks) * len(set(offered)) + lost
    assert same_bits(load(folder.merged).drop_attrs(), whole[name])


def test_parts_that_are_measured_are_kept(tmp_path, monkeypatch):
    """A process that dies just before or after a part of the measurements is kept does it at most once more, and loses no bit."""
    text = (
        LEARNED.replace("LEARNER", 'kind = "focusing-bp"')
        .replace(", epochs = 20", "")
        .replace("99", "21")
        .replace("2.0, 2.5", "0.5, 0.8")
    )
    text += "volumes = {distance = [0.1, 0.3]}\nflatness = {strength = 0.2}\n"
    folder = prepare(written(tmp_path, text), [], tmp_path / "whole")
    execute(folder, "cpu", lambda *_: None)
    whole = load(folder.merged).drop_attrs()
    folder, save, made = prepare(tmp_path / "small.toml", [], tmp_path / "out"), checkpoints.save, []
    moments = random.Random(3)

    def save_and_die(data, path, label):
        made.append(path.name)
        fate = moments.random()
        if fate < 0.2:
            raise Interrupted
        save(data, path, label)
        if fate > 0.7:
            raise Interrupted

    monkeypatch.setattr(checkpoints, "save", save_and_die)
    deaths = 0
    while True:
        try:
            execute(folder, "cpu", lambda *_: None)
            break
        except Interrupted:
            deaths += 1
    assert deaths >= 4
    assert set(made) == {
        f"task-{task:05}.{part}.h5"
        for task in range(2)
        for part in ("learned", "volumes-0", "volumes-1", "flatness-0", "flatness-1")
    }
    assert len(made) <= len(set(made)) + deaths
    assert same_bits(load(folder.merged).drop_attrs(), whole)
    assert not list(folder.path.glob("checkpoints/*"))


def test_damaged_checkpoints_are_left_out(tmp_path, whole):
    """The one before is gone on from, or the task begins again."""
    folder = prepare(written(tmp_path, BINARY), [], tmp_path / "out")
    count = 0

    def stop_late(*_):
        nonlocal count
        count += 1
        if count == 12:
            raise Interrupted

    with pytest.raises(Interrupted):
        execute(folder, "cpu", stop_late, checkpoint_every=0.0)
    last = folder.path / "checkpoints" / "task-00000.npz"
    before = last.with_suffix(".before.npz")
    assert last.exists()
    assert before.exists()
    content = bytearray(last.read_bytes())
    content[len(content) // 2] ^= 4
    last.write_bytes(content)
    checkpoint = folder.checkpoint(0, 1.0)
    with pytest.warns(UserWarning, match="task-00000.npz cannot be read .*: it is now task-00000.broken"):
        kept = checkpoint.kept()
    assert int(kept["state_sweep"]) > 0
    assert not last.exists()
    before.write_bytes(before.read_bytes()[:1000])
    with pytest.warns(UserWarning, match=r"before\.npz cannot be read"):
        assert checkpoint.kept() == {}
    execute(folder, "cpu", lambda *_: None)
    assert same_bits(load(folder.merged).drop_attrs(), whole["binary"])


def test_a_checkpoint_of_other_kernels_is_left_out(tmp_path):
    path = tmp_path / "task.npz"
    checkpoints.Checkpoint(path, "task 0 by kernels a", 0.0).keep({"sweep": np.array(3)})
    assert checkpoints.Checkpoint(path, "task 0 by kernels a").kept()["sweep"] == 3
    assert checkpoints.Checkpoint(path, "task 0 by kernels b").kept() == {}


def test_a_disk_that_is_full_stops_no_task(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.warns(UserWarning, match="no checkpoint was kept: .*No space left"):
        checkpoints.Checkpoint(tmp_path / "task.npz", "task 0", 0.0).keep({})


def test_asked_to_end(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints.ENDING, "is_set", lambda: True)
    checkpoint = checkpoints.Checkpoint(tmp_path / "task.npz", "task 0", 1e9)
    assert checkpoint.due()
    with pytest.raises(Ended):
        checkpoint.keep({"sweep": np.array(4)})
    assert checkpoint.kept()["sweep"] == 4


def command(tmp_path, config, *more):
    options = ["--out", tmp_path / "killed", "--device", "cpu", "--checkpoint-every", "0.3", *more]
    return [sys.executable, "-m", "gpumc.cli", "run", *map(str, (config, *options))]


def last_sweep(folder) -> int:
    """That of the last checkpoint of the running task, 0 where there is none."""
    for path in sorted(folder.glob("checkpoints/task-*.npz")):
        if re.fullmatch(r"task-\d+\.npz", path.name):
            with np.load(path) as arrays:
                return int(arrays["state_sweep"])
    return 0


def test_sigterm_writes_a_checkpoint(tmp_path):
    """Asked to end in the middle of a task, a run does so within seconds, and goes on from there."""
    config = written(tmp_path, BINARY.replace("sweeps = 2000, every = 100", "sweeps = 2000000, every = 100000"))
    process = subprocess.Popen(
        command(tmp_path, config, "--checkpoint-every", "1e9"),
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    log = tmp_path / "killed" / "progress.json"
    waited = time.monotonic()
    while not log.exists() and time.monotonic() - waited < 60:
        time.sleep(0.1)
    asked = time.monotonic()
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert time.monotonic() - asked < 15
    assert process.returncode == 128 + signal.SIGTERM, said
    assert "stopped by SIGTERM" in said
    assert last_sweep(tmp_path / "killed") > 0


def killed(tmp_path, config, kills, seed) -> int:
    """Kill a run so many times with SIGKILL or SIGTERM, then let it end; how often it was killed."""
    moments, done = random.Random(seed), 0
    while True:
        process = subprocess.Popen(command(tmp_path, config), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            _, errors = process.communicate(timeout=moments.uniform(0.5, 3.5) if done < kills else None)
        except subprocess.TimeoutExpired:
            process.send_signal(moments.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM]))
            process.communicate()
            done += 1
            continue
        assert process.returncode == 0, errors
        return done


@pytest.mark.parametrize(
    ("name", "kills"),
    [("binary", 12), *[pytest.param(name, 40, marks=pytest.mark.long) for name in ("binary", "spheres", "volumes")]],
)
def test_killed_at_random_moments(tmp_path, name, kills):
    """Runs that last long enough for so many kills, in one process."""
    sweeps = {"binary": 1500, "spheres": 200, "volumes": 1500}[name] * kills
    text = re.sub(r"sweeps = \d+, every = \d+", f"sweeps = {sweeps}, every = {sweeps // 12}", ALL[name])
    text = text.replace("every = 500}", f"every = {sweeps // 4}}}")
    config = written(tmp_path, text)
    undisturbed = prepare(config, [], tmp_path / "whole")
    execute(undisturbed, "cpu", lambda *_: None)
    assert killed(tmp_path, config, kills, seed=7) == kills, "the run ended before: it is too short for this test"
    assert same_bits(load(tmp_path / "killed" / "small.h5").drop_attrs(), load(undisturbed.merged).drop_attrs())
