"""How far runs are: what is made and left, by a clock of the test."""

import itertools
import subprocess
import sys
import time

import pytest
from rich.console import Console

from gpumc.cli import progress, status
from gpumc.cli.progress import Made, duration
from gpumc.sweeps.execution import execute, prepare
from gpumc.sweeps.notes import Running

LEARNED = """
name = "learned"
machine = {kind = "tree-committee", weights = "spherical", n = 45, k = 3}
patterns = {kind = "random", alpha = [0.5, 0.6], instances = 2}
learner = {kind = "least-action", epochs = 50}
volumes = {distance = 0.2}
flatness = {strength = 0.2}
"""


def test_work_and_what_is_left():
    """Two tasks of 100 units in 10 s: the first ends with half of its units done, and is measured for 10 s."""
    clock = [0.0]
    made = Made([100, 100, 0], lambda: clock[0])
    assert made.left == "time left unknown"
    clock[0] = 5.0
    made.add(Running("a", 0, 3, 50, 100, doing="learning"))
    assert (made.done, made.rate, made.left) == (50, 10.0, "15 s left")
    clock[0] = 10.0
    made.add(Running("a", 0, 3, None, 100, doing="volumes"))
    assert (made.done, made.rate, made.left) == (50, 5.0, "20 s left and what is measured")
    made.add(Running("b", 1, 3, 100, 100, doing="learning"))
    assert (made.done, made.left) == (150, "what is measured is left")
    clock[0] = 20.0
    made.add(Running("a", 0, 3, 100, 100, "finished"))
    assert (made.done, made.rate, made.left) == (200, 10.0, "0 s left")


def test_a_task_that_waits_loses_what_it_did():
    made = Made([100, 100], lambda: 1.0)
    made.add(Running("a", 0, 2, 60, 100))
    made.add(Running("a", 0, 2, 0, 100, "waiting"))
    made.add(Running("b", 0, 2, 20, 100))
    assert made.done == 20


def test_durations():
    assert [duration(seconds) for seconds in (0, 59.4, 60, 3725)] == ["0 s", "59 s", "1 min 0 s", "1 h 2 min"]


@pytest.fixture
def folder(tmp_path):
    config = tmp_path / "learned.toml"
    config.write_text(LEARNED)
    return prepare(config, [], tmp_path / "out")


def test_a_task_says_what_it_does(folder):
    notes = []
    execute(folder, "cpu", notes.append)
    assert {note.doing for note in notes if note.done is not None} == {"learning", ""}  # too short for a checkpoint
    measured = [note.doing for note in notes if note.done is None and note.task == 1]
    assert measured == [f"{what}, instance {n} of 2" for n in (1, 2) for what in ("volumes", "flatness")]
    assert [note.phase for note in notes].count("finished") == 2


def test_a_task_says_that_it_writes_a_checkpoint(folder):
    notes = []
    execute(folder, "cpu", notes.append, checkpoint_every=0.0)
    written = [note for note in notes if note.doing == "checkpoint"]
    assert len(written) >= 2
    assert all(note.done == before.done for before, note in itertools.pairwise(notes) if note in written)


@pytest.mark.parametrize("workers", [("cpu",), ("worker-0", "worker-1")])
def test_bars(folder, monkeypatch, capsys, workers):
    """On a terminal: one bar for the run, and one for each worker where there are several."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("rich.console.Console", lambda **_: Console(file=sys.stderr, force_terminal=True, width=200))
    with progress.progress(folder) as report:
        for number, worker in enumerate(workers):
            report(Running(worker, number, 2, 25, 50, doing="learning"))
        report(Running(workers[-1], len(workers) - 1, 2, None, 50, doing="volumes, instance 1 of 2"))
    shown = capsys.readouterr().err
    assert "volumes, instance 1 of 2" in shown
    assert "epochs/s" in shown
    assert ("worker-0" in shown) == ("worker-1" in shown) == (len(workers) > 1)


def test_status_of_notes(folder):
    with folder.locked():
        reported = folder.read_progress
        assert reported() == []
        notes = [
            {"worker": "a", "task": 0, "done": 10, "total": 100, "rate": 2.0, "doing": "learning"},
            {"worker": "b", "task": 1, "done": 0, "total": 100, "rate": None, "doing": "volumes"},
        ]
        from gpumc.sweeps.folder import Progress

        folder.write_progress([Progress(**note) for note in notes])
        said = status.lines(folder)
    assert said[1:3] == ["a, task 1: learning, 10% at 2 epochs/s", "b, task 2: volumes"]
    assert said[3].endswith("left and what is measured")


def test_watching_ends_with_the_run(folder):
    command = [sys.executable, "-m", "gpumc", "status", "--watch", str(folder.path)]
    with folder.locked():
        watching = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert "0 of 2 tasks done, 2 left; running" in watching.stdout.readline()
        time.sleep(0.1)
        assert watching.poll() is None
    said, _ = watching.communicate(timeout=30)
    assert "not running" in said
    assert watching.returncode == 0
