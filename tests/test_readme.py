"""What the README says works: its commands are one line each, its Python runs, its config is accepted."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import gpumc
from gpumc.sweeps.config import read_config

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PAGES = sorted(ROOT.glob("docs/*.md"))


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def test_the_first_two_commands_are_one_line_each():
    quickstart, tests = blocks("sh")[:2]
    assert quickstart.count("\n") == tests.count("\n") == 1
    assert "gpumc run runs/quickstart.toml" in quickstart
    assert "pytest" in tests


def test_the_python_runs(tmp_path):
    (code,) = blocks("python")
    script = "import matplotlib\nmatplotlib.use('Agg')\n" + code
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)
    data = gpumc.open_run(tmp_path / "results" / "first.h5")
    assert data.sizes["gamma"] == 3
    assert 0 < float(data.error_rate.mean()) < 0.5


def test_the_config_is_accepted():
    (config,) = blocks("toml")
    assert read_config(config).machine.kind == "tree-committee"


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=lambda page: page.name)
def test_every_path_and_link_exists(page):
    """Paths of files in backticks, paths of tests in commands, and links to pages and pictures."""
    text = page.read_text()
    named = re.findall(r"`((?:tests|docs|analysis|benchmarks|runs|kernels|gpumc)/[\w/.-]*\.\w+)`", text)
    named += re.findall(r"\b(tests/[\w/]+(?:\.py)?)", text)
    linked = re.findall(r"\]\((?!https?:)([^)#]+)", text)
    missing = {path for path in named if not (ROOT / path).exists()}
    missing |= {path for path in linked if not (page.parent / path).exists()}
    assert not missing


def test_promises_name_every_test_of_theirs():
    promises = (ROOT / "docs" / "promises.md").read_text()
    missing = [path.name for path in ROOT.glob("tests/promises/**/test_*.py") if path.name not in promises]
    assert not missing
