"""Where independent work is done: processes of this machine, or jobs of a cluster through submitit."""

import multiprocessing
import os
import shutil
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helpers import progress, store
from helpers.validation import unknown

EXECUTORS = ("processes", "local", "slurm")
# Options of submitit's local executor.
LOCAL = ("gpus_per_node", "setup", "timeout_min", "visible_gpus")
DAYS = 24 * 60  # minutes


@dataclass(frozen=True)
class Workers:
    """Executors in the sense of :mod:`concurrent.futures`, with ``submit`` and jobs that have ``done``,
    ``result`` and ``cancel``."""

    name: str
    start: Callable[[], Any]  # starts one of them
    executors: int = 1  # started; one that breaks leaves the others alone
    at_once: int | None = None  # calls that each is given at a time; None: all
    logs: Path | None = None

    def tidy(self, failed: bool) -> None:
        """Delete the logs of jobs, unless something failed."""
        if self.logs and failed:
            progress.say(f"logs of the jobs: {self.logs}")
        elif self.logs:
            shutil.rmtree(self.logs, ignore_errors=True)


def workers(choice: str, options: Mapping[str, Any] | None = None) -> Workers:
    """The workers that a user chose: ``processes=4``, ``local``, ``local=4``, ``slurm`` or ``slurm=20``.

    The number is how many calls are made at once: by default as many as there are cores, on SLURM all.
    ``options`` are parameters of submitit's executor, for SLURM those of sbatch (``partition``, ``time``).
    Raises ValueError, with the valid ones listed, for an unknown executor or option, if submitit is not
    installed, or if there is no SLURM.
    """
    options = dict(options or {})
    name, equals, text = choice.partition("=")
    if name not in EXECUTORS:
        raise ValueError(unknown("executor", name, EXECUTORS))
    if equals and not (text.isdecimal() and int(text) > 0):
        raise ValueError(f"--executor {choice}: expected a number of workers, such as {name}=4")
    number = int(text) if equals else None
    if name == "processes":
        if options:
            raise ValueError(f"--executor processes has no options, got {', '.join(options)}")
        # A pool breaks as a whole when its process is killed, so each has one.
        return Workers(choice, _process, executors=number or os.cpu_count() or 1, at_once=1)
    try:
        import submitit
    except ImportError:
        raise ValueError(
            f"--executor {name} needs submitit: pip install 'what-happens-to-bert[cluster]'"
        ) from None
    logs = store.home() / "artifacts" / "jobs" / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
    if name == "local":
        for option in options:
            if option not in LOCAL:
                raise ValueError(unknown("option of the executor local", option, LOCAL))
        options = {"timeout_min": 30 * DAYS} | options
        number = number or os.cpu_count()
    else:
        options = {"time": 4 * 60} | options
    kind: Any = submitit.LocalExecutor if name == "local" else submitit.SlurmExecutor

    def start() -> Any:
        executor = kind(folder=logs)
        executor.update_parameters(**options)
        return executor

    try:
        start()
    except RuntimeError as error:
        raise ValueError(f"--executor {name}: {error}") from None
    return Workers(choice, start, at_once=number, logs=logs)


def _process() -> ProcessPoolExecutor:
    # Started anew, not forked: a fork copies locks that threads of the numerical libraries may hold.
    return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))
