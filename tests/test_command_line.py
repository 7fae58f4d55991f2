"""The command line as people call it."""

import os
import subprocess
import sys

import pytest

from helpers import __main__ as command_line


def helpers(*arguments, home):
    return subprocess.run(
        [sys.executable, "-m", "helpers", *arguments],
        capture_output=True,
        text=True,
        env=os.environ | {"FINETUNING_BOOK_HOME": str(home)},
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("book", "--profile", "quik"), "unknown profile 'quik' (did you mean 'quick'?)"),
        (("book", "--set", "n_tokens=few"), "setting 'n_tokens': expected a number"),
        (("book", "--set", "tokens=5"), "unknown setting 'tokens' (did you mean 'n_tokens'?)"),
        (("book", "--set", "n_tokens"), "expected NAME=VALUE, got 'n_tokens'"),
        (("book", "--only", "nowhere"), "no notebook's name contains 'nowhere'; there are: 00_quickstart"),
        (("run", "--profile", "smoke", "--data", "udewt=x"), "unknown corpus 'udewt'"),
        (("data", "list", "ewt"), "unknown corpus 'ewt' (did you mean 'ud-ewt'?); valid: ud-ewt, gum"),
        (("data", "fetch", "gum"), "gum cannot be downloaded; give a local folder with en_gum-train.conllu"),
        (("pretrain", "nowhere", "--out", "x", "--set", "token=5"), "token"),
    ],
)
def test_mistakes_are_one_line_that_says_what_would_be_right(
    arguments, message, tmp_path, capsys, monkeypatch
):
    monkeypatch.setenv("FINETUNING_BOOK_HOME", str(tmp_path))
    assert command_line.main(list(arguments)) == 2
    error = capsys.readouterr().err
    assert error.startswith("helpers: ") and message in error and error.count("\n") == 1


def test_the_command_is_there_and_says_what_it_does(tmp_path):
    shown = helpers("--help", home=tmp_path)
    assert shown.returncode == 0
    assert all(word in shown.stdout for word in ("book", "run", "data", "pretrain"))
    wrong = helpers("data", "list", "ewt", home=tmp_path)
    assert wrong.returncode == 2 and "Traceback" not in wrong.stderr


def test_data_lists_sizes_licences_and_checksums(tmp_path):
    shown = helpers("data", home=tmp_path).stdout
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
