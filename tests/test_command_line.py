"""The command line as people call it."""

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from helpers import __main__ as command_line
from helpers import analyses, encoders, executors, profiles, results, store, vocabulary
from helpers.analyses import inputs

ROOT = Path(__file__).resolve().parents[1]


def helpers(*arguments, **environment):
    command = [sys.executable, "-m", "helpers", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | environment)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("book", "--profile", "quik"), "unknown profile 'quik' (did you mean 'quick'?)"),
        (("book", "--set", "n_tokens=few"), "setting 'n_tokens': expected a whole number, got 'few'"),
        (
            ("run", "--set", "tasks.Dep.recipe.epoch=2"),
            "(did you mean 'tasks.Dep.recipe.epochs'?); valid: tasks",
        ),
        (("run", "--set", "seeds=[0, 0]"), "setting 'seeds': expected different values"),
        (("run", "--set", "edge=1", "--set", "edge.clip=2"), "edge has been given a value of its own"),
        (("run", "--only", "ras"), "unknown analysis 'ras' (did you mean 'rsa'?); valid: finetuning"),
        (("run", "--set", "encoder=./nowhere"), "nowhere does not exist"),
        (("report", "--encoder", "./nowhere"), "nowhere does not exist"),
        (("report", "--only", "control_task"), "unknown analysis of the report 'control_task'; valid: fin"),
        (("report", "--tuned", "./nowhere", "--profile", "smoke"), "nowhere does not exist"),
        (
            ("book", "--profile", "smoke", "--data", "gum=."),
            "this run does not read gum; these do: edge_probing",
        ),
        (("run", "--profile", "laptop", "--data", "mnli=/nowhere"), "/nowhere: no such file or folder"),
        (("run", "--config", "/nowhere.toml"), "/nowhere.toml"),
        (
            ("run", "--executor", "slrum"),
            "unknown executor 'slrum' (did you mean 'slurm'?); valid: processes",
        ),
        (("run", "--set-executor", "partition=gpu"), "--set-executor needs --executor"),
        (("book", "--set", "tokens=5"), "unknown setting 'tokens' (did you mean 'n_tokens'?)"),
        (("book", "--set", "n_tokens"), "expected NAME=VALUE, got 'n_tokens'"),
        (("book", "--only", "nowhere"), "no notebook's name contains 'nowhere'; there are: 00_quickstart"),
        (("run", "--profile", "smoke", "--data", "udewt=x"), "unknown corpus 'udewt'"),
        (("data", "list", "ewt"), "unknown corpus 'ewt' (did you mean 'ud-ewt'?); valid: ud-ewt, gum"),
        (("data", "fetch", "gum"), "gum cannot be downloaded; give a local folder with en_gum-train.conllu"),
        (("pretrain", "nowhere", "--out", "x", "--set", "token=5"), "(did you mean 'tokens'?); valid: seed"),
    ],
)
def test_mistakes_are_one_line_that_says_what_would_be_right(
    arguments, message, tmp_path, capsys, monkeypatch
):
    monkeypatch.setenv("FINETUNING_BOOK_HOME", str(tmp_path))
    assert command_line.main(list(arguments)) == 2
    error = capsys.readouterr().err
    assert error.startswith("helpers: ") and message in error and error.count("\n") == 1


def test_help_lists_profiles_analyses_and_settings_with_costs_and_defaults():
    for command in ([], ["run"], ["book"], ["report"]):
        shown = helpers(*command, "--help").stdout
        for name, cost in profiles.COSTS.items():
            assert f"{name:<18} {cost}" in shown
        assert all(f"  {name:<18} {what}\n" in shown for name, what in vocabulary.ANALYSES.items())
        assert "\n  n_tokens = 2000  (wordpieces drawn" in shown
        assert "\n  tasks.MODEL.recipe.learning_rate = 0.0001, 3e-05, 0.0001  (of the encoder)" in shown
    assert "\n  tokens = 1000000000  (wordpieces seen in all)" in helpers("pretrain", "--help").stdout
    assert all(word in helpers("--help").stdout for word in ("book", "run", "report", "data", "pretrain"))


def test_version_and_mistakes_in_the_arguments():
    assert helpers("--version").stdout == f"what-happens-to-bert {version('what-happens-to-bert')}\n"
    wrong = helpers("data", "list", "ewt")
    assert wrong.returncode == 2 and "Traceback" not in wrong.stderr
    assert helpers("nonsense").returncode == 2


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Function: the settings with which arguments of ``run`` would run the analyses."""
    seen = []
    monkeypatch.setenv("FINETUNING_BOOK_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(inputs, "check", lambda *given: None)
    monkeypatch.setattr(inputs, "fetch", lambda *given: None)
    monkeypatch.setattr(analyses, "run_all", lambda settings, **options: seen.append(settings))

    def call(*arguments):
        assert command_line.main(["run", *arguments]) == 0
        return seen.pop()

    return call


def test_settings_come_from_a_file_and_are_replaced_one_by_one(run, tmp_path):
    file = tmp_path / "run.toml"
    file.write_text('profile = "smoke"\nseeds = [5]\ntext = "text"\n[edge]\nclip = 2\nmax_steps = 8\n')
    settings = run("--config", str(file), "--set", "edge.max_steps=1e1", "--data", "text=x.txt")
    expected = dict(seeds=[5], text="text", edge={"clip": 2, "max_steps": 10}, paths={"text": "x.txt"})
    assert settings == profiles.settings("smoke", **expected)
    assert run("--config", str(file), "--profile", "quick").name == "quick"
    assert run() == profiles.PROFILES["quick"]


def test_folders_are_relative_to_the_working_folder(run, tmp_path, monkeypatch):
    (tmp_path / "mine" / "model").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    settings = run("--set", "encoder=mine/model", "--data", "mnli=mine", "--set", "paths.squad=~/squad")
    assert settings.encoder == str(tmp_path / "mine" / "model")
    assert settings.paths == {"mnli": str(tmp_path / "mine"), "squad": str(Path("~/squad").expanduser())}


def test_a_name_of_an_encoder_is_never_a_folder(run, tmp_path, monkeypatch):
    for name in ("minilm", "mpnet", "tiny"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    for name in ("minilm", "mpnet"):
        assert run("--set", f"encoder={name}").encoder == name
        assert run("--set", f"encoder=./{name}").encoder == str(tmp_path / name)
    assert encoders.resolve("tiny") != tmp_path / "tiny"
    with pytest.raises(ValueError, match="not an encoder's folder"):
        encoders.resolve("./tiny")


def test_a_relative_home_is_one_place_for_all_that_is_run(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FINETUNING_BOOK_HOME", "store")
    run()
    monkeypatch.chdir("/")  # as a kernel in the notebooks' folder
    assert store.home() == tmp_path / "store"


def test_points_may_be_computed_elsewhere(run, monkeypatch):
    seen = {}
    monkeypatch.setattr(executors, "workers", lambda choice, options: (choice, options))
    monkeypatch.setattr(analyses, "run_all", lambda settings, **options: seen.update(options))
    arguments = [
        "run",
        "--executor",
        "slurm=20",
        "--set-executor",
        "partition=gpu",
        "--set-executor",
        "time=60",
    ]
    assert command_line.main(arguments) == 0
    assert seen["workers"] == ("slurm=20", {"partition": "gpu", "time": 60})


@pytest.mark.parametrize(("mendable", "status"), [(True, 2), (False, 1)])
def test_failed_analyses_are_one_line_at_the_end(run, mendable, status, monkeypatch, capsys):
    def failing(settings, **options):
        raise analyses.AnalysesFailed("1 of 12 analyses failed: rsa (why)", mendable)

    monkeypatch.setattr(analyses, "run_all", failing)
    assert command_line.main(["run"]) == status
    assert capsys.readouterr().err == "helpers: 1 of 12 analyses failed: rsa (why)\n"


def test_ctrl_c_says_how_to_go_on(run, monkeypatch, capsys):
    def stopped(settings, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(analyses, "run_all", stopped)
    assert command_line.main(["run"]) == 130
    assert capsys.readouterr().err == "helpers: stopped; the same command goes on from here\n"


def test_a_run_into_a_file_shows_its_lines_as_they_come(tmp_path):
    """Killed in its midst, so that nothing is flushed at its end."""
    code = (
        "import os, sys; from helpers import analyses, __main__; from helpers.analyses import runner\n"
        "runner.ANALYSES['corpus_baselines'] = lambda settings: os._exit(9)\n"
        "__main__.main(['run', '--profile', 'smoke', '--only', 'corpus_baselines'])"
    )
    log = tmp_path / "log"
    with open(log, "w") as out:
        environment = os.environ | {"FINETUNING_BOOK_HOME": str(ROOT / "_build" / "tests")}
        done = subprocess.run([sys.executable, "-c", code], stdout=out, stderr=out, env=environment)
    assert done.returncode == 9
    assert "profile   smoke" in log.read_text() and "analysis 1 of 1" in log.read_text()


def test_recording_needs_a_clone(run, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(results, "RECORDED", tmp_path / "recorded")
    assert command_line.main(["run", "--record"]) == 2
    assert "--record needs a clone of the repository" in capsys.readouterr().err


@pytest.mark.parametrize(
    "given, run_name", [([], ""), (["--record"], "smoke"), (["--record", "minilm-2"], "minilm-2")]
)
def test_a_run_is_recorded_by_its_profiles_name_or_another(run, monkeypatch, tmp_path, given, run_name):
    asked = []
    monkeypatch.setattr(results, "RECORDED", tmp_path)
    monkeypatch.setattr(analyses, "run_all", lambda settings, **options: asked.append(options["record"]))
    assert command_line.main(["run", "--profile", "smoke", *given]) == 0
    assert asked == [run_name]


def test_a_recorded_run_needs_a_plain_name(capsys):
    with pytest.raises(SystemExit) as stopped:
        command_line.main(["run", "--record", "../elsewhere"])
    assert stopped.value.code == 2
    assert "'../elsewhere': a run's name has small letters, digits, - and _" in capsys.readouterr().err


def test_data_lists_sizes_licences_and_checksums(tmp_path):
    shown = helpers("data", FINETUNING_BOOK_HOME=str(tmp_path)).stdout
    for text in (
        "ud-ewt",
        "uds-nli",
        "CC BY-SA 4.0",
        "81.7 MB",
        "f93dd0e893d4e726ce71da12e8793170",
        "not fetched",
    ):
        assert text in shown


def test_what_a_module_needs_is_all_it_loads():
    heavy = ("jupyter", "matplotlib", "seaborn", "datasets", "papermill", "IPython")
    rooms = "profiles store corpora encoders pretraining similarity statistics finetuning.training".split()
    code = ";".join(f"import helpers.{room}" for room in rooms)
    code += f";import sys;print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
