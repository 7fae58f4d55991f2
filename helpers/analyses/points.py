"""Parts of analyses that depend on no other part, computed by other processes or machines.

A point leaves its artifact in the store, which all of them share; the tables are then computed from there.
So it does not matter where, or in which order, points are computed, and one that is stored is not computed
again.
"""

import contextlib
import os
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helpers import progress, store
from helpers.executors import Workers

TRIES = 3  # of a point whose worker is killed
POLL = 0.2  # seconds between two looks at the workers


@dataclass(frozen=True)
class Point:
    """A call that computes one artifact into the store, and can be sent to another process."""

    label: str
    kind: str  # of the artifact
    compute: Callable[..., Any]  # a function of a module
    arguments: tuple[Any, ...]

    def missing(self) -> Path | None:
        """Where the artifact is going to be; None if the store has it."""
        try:
            with store.refusing(lambda kind, path: "not stored" if kind == self.kind else ""):
                self.compute(*self.arguments)
        except store.NotStored as error:
            return error.path
        return None


def compute(points: Iterable[Point], workers: Workers) -> dict[Path, str]:
    """Compute into the store what it lacks of these points; returns why some failed, by their artifacts.

    A point whose worker is killed is given to another, ``TRIES`` times in all; one that raises an error is
    not tried again. What a point needs of corpora and encoders is fetched here first: the workers may be
    offline.
    """
    lacking = _lacking(points)
    queue, tries, failed = deque(lacking), Counter[Path](), dict[Path, str]()
    if not lacking:
        return failed
    progress.say(f"{len(lacking)} points to compute by {workers.name}")
    threads = _threads()
    pools = [_Pool(workers) for _ in range(workers.executors)]
    try:
        while queue or any(pool.jobs for pool in pools):
            for pool in pools:
                pool.fill(queue, lambda path: (work, lacking[path], str(store.home()), threads))
            time.sleep(POLL)
            for pool in pools:
                for path, reason, lost in pool.finished():
                    label = lacking[path].label
                    tries[path] += 1
                    if lost and tries[path] < TRIES:
                        progress.say(f"{label}: worker lost, retrying ({_first_line(reason)})")
                        queue.append(path)
                        continue
                    if reason:
                        failed[path] = f"{label}: {f'{TRIES} workers were lost: ' * lost}{reason}"
                    del lacking[path]
                    progress.say(f"{label}: {'failed: ' + reason if reason else 'done'}; {len(lacking)} left")
    finally:
        for pool in pools:
            pool.stop()
    workers.tidy(bool(failed))
    return failed


def _lacking(points: Iterable[Point]) -> dict[Path, Point]:
    """The points that the store lacks, by their artifacts, each once."""
    lacking: dict[Path, Point] = {}
    for point in points:
        # An error here is one of the corpus or the encoder: the analysis will report it.
        with contextlib.suppress(Exception):
            if path := point.missing():
                lacking.setdefault(path, point)
    return lacking


def work(point: Point, home: str, threads: int) -> str:
    """Compute a point into the store under ``home``, in a worker; returns why that failed, or nothing."""
    import torch

    if str(store.home()) != home:
        os.environ["FINETUNING_BOOK_HOME"] = home
    # As many threads as where the tables are computed, so that the numbers are the same, if there are cores.
    torch.set_num_threads(min(threads, cores()))
    try:
        point.compute(*point.arguments)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def cores() -> int:
    """How many cores this process may use; macOS has no affinity, so there all."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _threads() -> int:
    import torch

    return torch.get_num_threads()


def _first_line(text: str) -> str:
    return text.strip().split("\n")[0]


class _Pool:
    """One executor and what it computes."""

    def __init__(self, workers: Workers):
        self.workers, self.executor = workers, workers.start()
        self.jobs: dict[Path, Any] = {}

    def fill(self, queue: deque[Path], call: Callable[[Path], tuple]) -> None:
        """Submit from the queue what the executor can take."""
        free = (self.workers.at_once or len(queue) + len(self.jobs)) - len(self.jobs)
        if not queue or free <= 0:
            return
        # submitit sends what is submitted in one batch as a job array.
        with getattr(self.executor, "batch", contextlib.nullcontext)():
            for path in [queue.popleft() for _ in range(min(free, len(queue)))]:
                try:
                    self.jobs[path] = self.executor.submit(*call(path))
                except BrokenExecutor:  # its process was killed while it had nothing to do
                    self.executor = self.workers.start()
                    self.jobs[path] = self.executor.submit(*call(path))

    def finished(self) -> list[tuple[Path, str, bool]]:
        """What has ended since last asked: artifact, why it failed, and whether its worker was lost."""
        ended = []
        for path, job in [(path, job) for path, job in self.jobs.items() if job.done()]:
            del self.jobs[path]
            try:
                ended.append((path, job.result(), False))
            except Exception as error:  # the work itself returns its errors
                ended.append((path, f"{type(error).__name__}: {error}", True))
                if isinstance(error, BrokenExecutor):
                    self.executor = self.workers.start()
        return ended

    def stop(self) -> None:
        """Cancel what is not finished."""
        for job in self.jobs.values():
            with contextlib.suppress(Exception):
                job.cancel()
        if shutdown := getattr(self.executor, "shutdown", None):
            shutdown(wait=False, cancel_futures=True)
