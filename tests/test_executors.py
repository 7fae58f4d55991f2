"""The choice of executors: what is refused, and with which words."""

import sys

import pytest

from helpers import executors


@pytest.mark.parametrize(
    ("choice", "options", "message"),
    [
        (
            "proceses=2",
            {},
            "unknown executor 'proceses' .did you mean 'processes'.*; valid: processes, local, slurm",
        ),
        ("processes=0", {}, "expected a number of workers, such as processes=4"),
        ("local=many", {}, "expected a number of workers, such as local=4"),
        ("processes=2", {"partition": "gpu"}, "processes has no options, got partition"),
        (
            "local",
            {"timeout": 3},
            "unknown option of the executor local 'timeout' .did you mean 'timeout_min'",
        ),
        (
            "slurm",
            {"partition": "gpu"},
            "--executor slurm: Could not detect .srun., are you indeed on a slurm",
        ),
    ],
)
def test_mistakes_are_named(choice, options, message, tmp_path, monkeypatch):
    monkeypatch.setenv("FINETUNING_BOOK_HOME", str(tmp_path))
    with pytest.raises(ValueError, match=message):
        executors.workers(choice, options)


def test_without_submitit_its_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(ValueError, match=r"needs submitit: pip install 'what-happens-to-bert\[cluster\]'"):
        executors.workers("local")


def test_slurms_options_are_those_of_sbatch(tmp_path, monkeypatch):
    """With a stand-in for SLURM's programs: what would be submitted asks for the partition."""
    monkeypatch.setenv("FINETUNING_BOOK_HOME", str(tmp_path))
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in (
        ("srun", "true"),
        ("sbatch", f'cp "$1" {tmp_path}/submitted; echo "Submitted batch job 12"'),
        ("sacct", 'echo "JobID|State"; echo "12|RUNNING"'),
    ):
        (programs / name).write_text(f"#!/bin/sh\n{text}\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(programs), prepend=":")
    chosen = executors.workers("slurm", {"partition": "gpu", "gpus_per_node": 1})
    assert chosen.at_once is None and chosen.executors == 1
    executor = chosen.start()
    with executor.batch():
        jobs = [executor.submit(len, "ab")]
    assert jobs[0].job_id.startswith("12")
    text = (tmp_path / "submitted").read_text()
    assert "#SBATCH --partition=gpu" in text and "#SBATCH --gpus-per-node=1" in text
    assert "#SBATCH --time=240" in text
    with pytest.raises(ValueError, match="partition"):  # submitit's own, which lists the valid ones
        executors.workers("slurm", {"partitoin": "gpu"})
    chosen.tidy(failed=False)
    assert not chosen.logs.exists()
