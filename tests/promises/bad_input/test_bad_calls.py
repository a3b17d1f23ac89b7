"""Whatever a public function is given, it answers, or says in one sentence why not."""

import resource
import signal
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gpumc.errors import GpumcError
from tests.promises.bad_input.calls import CALLS, calls

#: Seconds and bytes that a call may take beyond what the process has: generous, against hangs and tables beyond reason.
SECONDS, BYTES = 60, 2 * 2**30
#: Theory integrates, and takes most of the time: it has fewer calls.
THEORY = tuple(name for name in CALLS if name.startswith("theory."))
OTHERS = tuple(name for name in CALLS if name not in THEORY)
FIXED = settings(deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))


@pytest.fixture
def limits(tmp_path, monkeypatch):
    """A folder to write to, and limits of time and memory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "patterns.txt").write_text("1 -1 1 1\n-1 1 1 -1\n")

    def late(*_):
        raise TimeoutError(f"a call took more than {SECONDS} s")

    before = signal.signal(signal.SIGALRM, late)
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + BYTES, hard))
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def check(call, raising: bool) -> None:
    name, arguments = call
    signal.alarm(SECONDS)
    try:
        with warnings.catch_warnings(), np.errstate(all="raise" if raising else "warn"):
            warnings.simplefilter("ignore")
            CALLS[name][0](**arguments)
    except GpumcError as error:
        said = str(error)
    else:
        said = ""
    finally:
        signal.alarm(0)
    assert len(said) < 1000
    assert "\n" not in said


@settings(FIXED, max_examples=400)
@given(calls(OTHERS), st.booleans())
def test_calls(limits, call, raising):
    check(call, raising)


@settings(FIXED, max_examples=60)
@given(calls(THEORY))
def test_calls_of_theory(limits, call):
    check(call, False)
