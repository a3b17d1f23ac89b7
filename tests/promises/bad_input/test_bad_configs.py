"""Configs that nobody meant: refused in sentences, at once, with nothing written; and right ones run."""

from hypothesis import HealthCheck, Phase, given, settings

from tests.promises.bad_input.batch import outcomes
from tests.promises.bad_input.configs import Case, cases

COUNT = 320


def drawn(count: int) -> list[Case]:
    """The same cases at every run."""
    found = []

    @settings(
        max_examples=count,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(cases())
    def collect(case: Case) -> None:
        found.append(case)

    collect()
    return found


def test_no_config_gives_a_traceback_a_hang_or_a_stray_folder(tmp_path):
    configs = drawn(COUNT)
    assert len(configs) >= 300
    commands = []
    for number, case in enumerate(configs):
        file = tmp_path / f"{number}.toml"
        file.write_bytes(case.content)
        options = [word for override in case.overrides for word in ("--set", override)]
        commands.append(["run", str(file), "--out", str(tmp_path / f"out{number}"), "--device", "numpy", *options])
    for number, (case, outcome) in enumerate(zip(configs, outcomes(commands, tmp_path), strict=True)):
        told = f"{case.content[:2000]!r} {case.overrides}: {outcome}"
        assert outcome["status"] in (0, 1, 2), told
        assert "Traceback" not in outcome["err"], told
        assert "unforeseen" not in outcome["err"], told
        assert len(outcome["err"]) < 10_000, told
        if case.right:
            assert outcome["status"] == 0, told
        if outcome["status"] == 2:
            assert outcome["err"].startswith("gpumc: "), told
            assert not (tmp_path / f"out{number}").exists(), told
        if outcome["status"] == 0:
            assert list((tmp_path / f"out{number}").glob("*.h5")), told
    assert sum(case.right for case in configs) >= 10
    assert not (tmp_path / "results").exists()
