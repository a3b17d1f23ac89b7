"""Batch scripts for SLURM: shells accept them, and they are those of dask-jobqueue; what `[cluster]` says changes no number of a run."""

import re
import signal
import subprocess

import pytest

from gpumc.errors import ConfigError
from gpumc.results import load
from gpumc.sweeps import read_config
from gpumc.sweeps.execution import execute, prepare
from gpumc.sweeps.sections.cluster_section import seconds_of
from tests.units.sweeps.test_runs import CONFIG

CLUSTER = """
[cluster]
interface = "lo"
cores = 8
memory = "32GB"
walltime = "1-02:00:00"
jobs = 3
gpus = 2
queue = "long"
account = "physics"
directives = ["--constraint=a100", "--mail-type=END"]
prologue = ["module load cuda", 'export NAME="a b"']
"""


@pytest.fixture
def config_file(tmp_path):
    path = tmp_path / "small.toml"
    path.write_text(CONFIG + CLUSTER)
    return path


def test_the_script(config_file, tmp_path, within):
    printed = within("run", config_file, "--out", tmp_path / "out", "--slurm", "--print-script")
    assert (printed.returncode, printed.stderr) == (0, "")
    assert not (tmp_path / "out").exists()
    assert (
        subprocess.run(["bash", "-n"], input=printed.stdout, text=True, check=False, capture_output=True).stderr == ""
    )
    lines = printed.stdout.splitlines()
    assert lines[0] == "#!/usr/bin/env bash"
    for line in ("-p long", "-A physics", "--cpus-per-task=8", "--mem=30G", "-t 1-02:00:00", "--gres=gpu:2"):
        assert f"#SBATCH {line}" in lines
    assert "#SBATCH --constraint=a100" in lines
    assert {"module load cuda", 'export NAME="a b"', "export OMP_NUM_THREADS=4", "export GPUMC_PROCESSES=2"} <= set(
        lines
    )
    assert "--nworkers 2" in lines[-1]
    assert "--nthreads 1" in lines[-1]
    lifetime, stagger = (int(re.search(rf"--{name} (\d+)s", lines[-1])[1]) for name in ("lifetime", "lifetime-stagger"))
    assert lifetime - stagger > 0
    assert lifetime + stagger <= seconds_of("1-02:00:00") - 60


def test_it_is_the_script_of_dask_jobqueue(config_file, within):
    """The cluster's own, whose scheduler runs; but for where that is."""
    before = signal.getsignal(signal.SIGINT)
    from gpumc.sweeps.distributed import slurm

    assert signal.getsignal(signal.SIGINT) is before
    cluster = read_config(config_file.read_text()).cluster
    options = {"dashboard": False, "dashboard_address": None, "interface": "lo"}
    with slurm.SLURMCluster(scheduler_options=options, **slurm.arguments(cluster)) as running:
        theirs = running.job_script()
    ours = within("run", config_file, "--slurm", "--print-script").stdout
    scheduler = re.compile(r"tcp://[^ ]+")
    names = re.compile(r"--name \S+")
    assert names.sub("", scheduler.sub("", ours)) == names.sub("", scheduler.sub("", theirs))
    assert "tcp://127.0.0.1:" in theirs


def test_where_it_cannot_be_submitted(config_file, tmp_path, within):
    done = within("run", config_file, "--out", tmp_path / "out", "--slurm")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("gpumc: --slurm submits jobs by sbatch, which is not here")
    config_file.write_text(CONFIG)
    done = within("run", config_file, "--slurm")
    assert done.returncode == 2
    assert done.stderr.startswith("gpumc: --slurm needs a table [cluster] in the config")
    assert not (tmp_path / "out").exists()


def test_a_run_goes_on_elsewhere(config_file, tmp_path):
    """With another cluster, or none: its key, plan and shards are the same."""
    folder = prepare(config_file, ["patterns.alpha=[0.2]"], tmp_path / "out")
    config_file.write_text(CONFIG + CLUSTER.replace("32GB", "64GB"))
    again = prepare(config_file, ["patterns.alpha=[0.2]"], tmp_path / "out")
    assert again.record.key == folder.record.key
    assert again.config.cluster.memory == "64GB"
    execute(again, "numpy", lambda *_: None)
    config_file.write_text(CONFIG)
    without = prepare(config_file, ["patterns.alpha=[0.2]"], tmp_path / "out")
    assert without.record.key == folder.record.key
    assert without.set_aside_damaged() == []
    assert load(without.merged).attrs["config"] == folder.record.text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("cores = 8", "cores = 0"), r"\[cluster\] cores = 0: a whole number from 1"),
        (("gpus = 2", "gpus = 9"), r"a job has 9 workers and cores = 8"),
        (('"1-02:00:00"', '"soon"'), r"\[cluster\] walltime: a time such as '12:00:00'"),
        (('"1-02:00:00"', '"00:01:00"'), r"at least 5 minutes are needed, found 00:01:00"),
        (('"32GB"', '"much"'), r"\[cluster\] memory: an amount of memory such as '16GB' is needed"),
        (('"32GB"', "32"), r"\[cluster\] memory = 32: an amount of memory such as '16GB' is needed"),
        (("jobs = 3", "job = 3"), r"\[cluster\] job: unknown key; did you mean 'jobs'"),
        (('queue = "long"', 'queue = "a\\nb"'), r"\[cluster\] queue: a text of one line is needed"),
        (('interface = "lo"', ""), r"\[cluster\] interface: missing"),
    ],
)
def test_wrong_tables(change, said):
    with pytest.raises(ConfigError, match=said):
        read_config(CONFIG + CLUSTER.replace(*change))
