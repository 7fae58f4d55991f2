"""Points of analyses: which are computed by workers, how often, and what becomes of those that fail."""

from concurrent.futures import Future

import pytest

from helpers import analyses, profiles, progress
from helpers.analyses import points, runner
from helpers.analyses.points import Point
from helpers.corpora.records import Pair
from helpers.executors import Workers
from helpers.store import Store


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("FINETUNING_BOOK_HOME", str(tmp_path))
    monkeypatch.setattr(points, "POLL", 0)
    return tmp_path


@pytest.fixture
def said(monkeypatch):
    lines = []
    monkeypatch.setattr(progress, "say", lines.append)
    return lines


class Inline:
    """An executor that computes at once; its worker dies for as many calls as ``deaths`` says of a label."""

    def __init__(self, deaths=()):
        self.deaths, self.calls = dict(deaths), []

    def submit(self, function, point, *arguments):
        self.calls.append(point.label)
        future = Future()
        if self.deaths.get(point.label, 0) > 0:
            self.deaths[point.label] -= 1
            future.set_exception(RuntimeError("job 17 has not produced any output\n(long log)"))
        else:
            future.set_result(function(point, *arguments))
        return future

    def workers(self):
        return Workers("inline", lambda: self, at_once=2)


def number(value):
    """Compute a number into the store; negative ones cannot be."""

    def build(folder):
        if value < 0:
            raise FloatingPointError("loss is nan at step 3")
        (folder / "value").write_text(str(value))

    return Store().get("number", {"value": value}, build)


def point(value, label=None):
    return Point(label or f"number {value}", "number", number, (value,))


def test_each_missing_point_is_computed_once(said):
    number(1)
    executor = Inline()
    assert points.compute([point(1), point(2), point(3), point(2, "2 again")], executor.workers()) == {}
    assert executor.calls == ["number 2", "number 3"]
    assert (number(3) / "value").read_text() == "3"
    assert said == ["2 points to compute by inline", "number 2: done; 1 left", "number 3: done; 0 left"]
    assert points.compute([point(2), point(3)], executor.workers()) == {} and len(executor.calls) == 2


def test_a_lost_workers_point_is_redone_and_the_others_are_kept(said):
    executor = Inline({"number 2": 2})
    assert points.compute([point(n) for n in (1, 2, 3)], executor.workers()) == {}
    assert sorted(executor.calls) == ["number 1"] + ["number 2"] * 3 + ["number 3"]
    assert [n for n in (1, 2, 3) if point(n).missing()] == []
    lost = [line for line in said if "worker lost" in line]
    assert len(lost) == 2 and lost[0].endswith("retrying (RuntimeError: job 17 has not produced any output)")


def test_what_fails_is_named_and_not_tried_for_ever(said):
    executor = Inline({"number 2": 9})
    failed = points.compute([point(n) for n in (-1, 1, 2)], executor.workers())
    assert executor.calls.count("number 2") == points.TRIES and executor.calls.count("number -1") == 1
    store = Store()
    assert failed.keys() == {store.path("number", {"value": n}) for n in (-1, 2)}
    assert (
        failed[store.path("number", {"value": -1})] == "number -1: FloatingPointError: loss is nan at step 3"
    )
    assert failed[store.path("number", {"value": 2})].startswith(
        "number 2: 3 workers were lost: RuntimeError"
    )


def test_tables_are_computed_here_and_failed_points_are_not_tried_again(home, said, monkeypatch):
    monkeypatch.setattr(runner, "ANALYSES", {})
    monkeypatch.setattr(runner, "POINTS", {})

    def table(name, *values):
        @runner.analysis(name, points=lambda settings: [point(n) for n in values])
        def compute(settings):
            for n in values:
                yield dict(analysis=name, metric="las", value=int((number(n) / "value").read_text()))

    table("good", 1, 2)
    table("bad", 2, -1)
    executor = Inline()
    with pytest.raises(
        runner.AnalysesFailed, match=r"1 of 2 analyses failed: bad \(number -1: Floating"
    ) as caught:
        analyses.run_all(profiles.settings("smoke"), workers=executor.workers())
    assert not caught.value.mendable and executor.calls == ["number 1", "number 2", "number -1"]
    assert not any("Traceback" in line for line in said)
    assert (home / "results" / "smoke" / "good.csv").exists()


def test_the_books_analyses_name_what_they_need_of_fine_tunings():
    settings = profiles.settings("reduced")
    by_analysis = {name: runner.POINTS[name](settings) for name in analyses.ANALYSES if name in runner.POINTS}
    assert set(analyses.ANALYSES) - set(by_analysis) == {"corpus_baselines", "rsa_between_layers"}
    tuned = {name: [p.label for p in own] for name, own in by_analysis.items() if own[0].kind == "finetuned"}
    assert tuned["finetuning"] == [f"{m}, seed {s}" for s in (0, 1, 2) for m in ("Dep", "NLI", "QA")]
    assert tuned["rsa"] == tuned["structural_probe"] == tuned["edge_probing"] == tuned["finetuning"]
    assert tuned["pair_probe"] == ["NLI, seed 0"]
    assert len(tuned["rsa_by_rate"]) == 6 and len(tuned["control_task"]) == 3
    rates = [p.arguments[0].task("Dep").recipe.learning_rate for p in by_analysis["rsa_by_rate"]]
    assert rates == [3e-5] * 3 + [1e-4] * 3
    # 7 ways of freezing, with 2 rates each, on 3 tasks; the last layer is the whole encoder.
    assert len(by_analysis["partial_freezing"]) == 7 * 2 * 3
    assert len(by_analysis["truncation"]) == 6 * 3 and len(by_analysis["reinitialisation"]) == 6 * 3
    assert by_analysis["truncation"][1].label == "Dep, seed 0, head on layer 10"


def test_a_sweep_computed_by_workers_is_the_sweep_computed_here(monkeypatch, tmp_path):
    pairs = [Pair(f"p{i}", f"word {i} is here", f"it is {i}", ("yes", "no")[i % 2]) for i in range(20)]
    from helpers.analyses import ablations

    monkeypatch.setattr(ablations, "read_records", lambda settings, corpus, split, limit: pairs[:limit])
    chosen = profiles.settings("smoke", sweep_layers=[1, 3], head_rates=[1e-3])
    import dataclasses

    task = dataclasses.replace(chosen.task("NLI"), train_limit=16, eval_limit=8)
    settings = dataclasses.replace(chosen, tasks=(task,))
    sweeps = "partial_freezing", "truncation", "reinitialisation"
    here = [analyses.ANALYSES[name](settings) for name in sweeps]
    monkeypatch.setenv("FINETUNING_BOOK_HOME", str(tmp_path / "other"))
    executor = Inline()
    wanted = [p for name in sweeps for p in runner.POINTS[name](settings)]
    assert points.compute(wanted, executor.workers()) == {}
    # 3 x 2 frozen, 2 truncated and 2 re-initialised; the whole model at its own rate is one for all three.
    assert len(executor.calls) == 3 * 2 + (2 - 1) + (2 - 1)
    monkeypatch.setattr(ablations.training, "finetune", None)
    for name, expected in zip(sweeps, here, strict=True):
        assert analyses.ANALYSES[name](settings).equals(expected)
