"""What every notebook begins with and ends on."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from helpers import notebook, profiles, results


def test_parameters_are_taken_from_a_notebooks_variables(capsys):
    variables = dict(profile="smoke", n_tokens=150, seeds=None, steps=3, __name__="__main__")
    assert notebook.begin(variables) == profiles.settings("smoke", n_tokens=150)
    assert capsys.readouterr().out.startswith("profile   smoke-")
    with pytest.raises(ValueError, match="n_tokens"):
        notebook.begin(dict(profile="smoke", n_tokens="many"))


OWN = 'profile = "quick"  # smoke, quick\nseeds = None\nn_tokens = None\nsteps = 1 + 1'


def begun(*cells, **variables):
    return notebook.begin({"In": ["", *cells]} | variables)


def test_parameters_are_read_in_their_cells():
    """A module or a later variable may have the name of a setting."""
    injected = '# Parameters\nprofile = "smoke"\nseeds = "[3]"\nedge = {"max_steps": 4}\n'
    settings = begun(
        OWN, injected, "from helpers.analyses import edge", profile="smoke", edge=notebook, n_tokens=9
    )
    assert (settings.name, settings.seeds, settings.edge.max_steps) == ("smoke", (3,), 4)
    assert settings.n_tokens == profiles.PROFILES["smoke"].n_tokens
    # In JupyterLab a cell is changed and run again; its last run counts.
    assert begun(OWN, "1 + 1", OWN.replace("None", "[5]", 1), "%time 1").seeds == (5,)


def test_a_mistyped_parameter_is_an_error():
    with pytest.raises(
        ValueError, match=r"unknown parameter 'step' \(did you mean 'steps'\?\); valid: profile"
    ):
        begun(OWN, "# Parameters\nstep = 3\n")
    with pytest.raises(ValueError, match=r"unknown parameter 'n_token' \(did you mean 'n_tokens'\?\)"):
        begun(OWN, "# Parameters\nn_token = 3\n")
    begun(OWN, "# Parameters\nsteps = 3\nprobe_rank = 7\n")  # a setting that this notebook does not list


def test_folders_that_no_analysis_reads_are_refused(tmp_path):
    with pytest.raises(ValueError, match="this run does not read gum"):
        notebook.begin(dict(profile="smoke", paths={"gum": str(tmp_path)}))


PAPERMILL = Path(sys.executable).with_name("papermill")


@pytest.fixture(scope="module")
def smoke_notebook(tmp_path_factory):
    """A notebook that begins as the book's do, and shows the settings that it comes to."""
    import nbformat.v4 as v4

    parameters = v4.new_code_cell(OWN, metadata={"tags": ["parameters"]})
    shown = "from helpers.notebook import begin\nsettings = begin(globals())\nprint(repr(settings))"
    path = tmp_path_factory.mktemp("notebooks") / "smoke.ipynb"
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    path.write_text(json.dumps(v4.new_notebook(cells=[parameters, v4.new_code_cell(shown)], metadata=kernel)))
    return path


def run_papermill(path, folder, *arguments):
    command = [PAPERMILL, str(path), "out.ipynb", "-p", "profile", "smoke", "--no-progress-bar", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_papermills_command_line_gives_every_kind_of_value(smoke_notebook, tmp_path):
    (tmp_path / "mine").mkdir()
    for split in ("train", "dev"):
        (tmp_path / "mine" / f"multinli_1.0_{split}{'_matched' * (split == 'dev')}.jsonl").touch()
    plain = ["-p", "seeds", "[0, 2]", "-p", "n_tokens", "1e3", "-p", "domain_share", "1"]
    plain += ["-p", "paths", '{"mnli": "mine"}', "-p", "edge", '{"clip": 2}', "-p", "probe_train", "None"]
    yaml = ["-y", "head_rates: [1e-3, 2.5e-3]\ntasks: {NLI: {corpus: mnli, recipe: {learning_rate: 1e-5}}}"]
    done = run_papermill(smoke_notebook, tmp_path, *plain, *yaml)
    assert done.returncode == 0, done.stderr
    (output,) = json.loads((tmp_path / "out.ipynb").read_text())["cells"][-1]["outputs"]
    expected = profiles.settings(
        "smoke",
        seeds=(0, 2),
        n_tokens=1000,
        domain_share=1.0,
        head_rates=(1e-3, 2.5e-3),
        paths={"mnli": str(tmp_path / "mine")},
        **{"edge.clip": 2.0, "tasks.NLI.corpus": "mnli", "tasks.NLI.recipe.learning_rate": 1e-5},
    )
    assert repr(expected) in "".join(output["text"])


def test_papermills_command_line_fails_at_a_mistyped_name(smoke_notebook, tmp_path):
    done = run_papermill(smoke_notebook, tmp_path, "-p", "n_token", "100")
    assert done.returncode == 1
    assert "unknown parameter 'n_token' (did you mean 'n_tokens'?)" in done.stderr


def test_what_a_notebook_can_set_is_in_the_profiles():
    assert notebook.SETTINGS == set(dataclasses.asdict(profiles.PROFILES["quick"])) - {"name"}


def test_numbers_are_glued_under_their_names_and_not_shown(monkeypatch):
    import myst_nb

    glued = {}
    monkeypatch.setattr(myst_nb, "glue", lambda name, text, display: glued.update({name: (text, display)}))
    notebook.glue({"a-b": "1"}, c=2)
    assert glued == {"a-b": ("1", False), "c": (2, False)}


def test_tables_are_shown_without_index_and_trailing_zeros():
    html = notebook.plain(pd.DataFrame({"rate": [1e-4, 3.0], "n": [20, "all"]}, index=[0, 0])).to_html()
    assert ">0.0001<" in html and ">3<" in html and ">all<" in html and 'class="row_heading' not in html


def test_tables_show_text_as_it_is_and_nothing_for_what_is_missing():
    frame = pd.DataFrame({"<i>a</i>": ["<script>1</script> & more", None], "b": [0.12345, float("nan")]})
    html = notebook.plain(frame.set_index(pd.Index(["<b>", "y"])), "{:.2f}".format, index=True).to_html()
    assert "&lt;script&gt;1&lt;/script&gt; &amp; more" in html and "<script>" not in html
    assert "&lt;i&gt;a&lt;/i&gt;" in html and "&lt;b&gt;" in html
    assert ">0.12<" in html and "nan" not in html.lower() and "None" not in html


def test_recipes_are_described_by_task():
    quick = profiles.PROFILES["quick"]
    table = notebook.recipes(quick.tasks).set_index("model")
    assert table.index.tolist() == [task.model for task in quick.tasks]
    own = quick.task("NLI")
    assert table.loc["NLI", "head learning rate"] == own.recipe.head_learning_rate
    assert table.loc["NLI", "training records"] == own.train_limit
    task = dataclasses.replace(own, train_limit=None, recipe=profiles.TuningRecipe())
    (row,) = notebook.recipes([task]).to_dict("records")
    assert row["training records"] == "all" and row["head learning rate"] == row["learning rate"]
    assert row["dropout"] == "the encoder's own"


def test_scores_to_draw_are_the_first_seeds_headlines_with_baselines_and_the_papers():
    rows = [
        dict(
            analysis="finetuning",
            model="Dep",
            task="ud-ewt",
            seed=seed,
            metric=metric,
            inputs=inputs,
            value=v,
        )
        for seed, v in ((0, 0.7), (1, 0.8))
        for metric in ("las", "uas")
        for inputs in ("in_domain", "previous_word")
    ]
    rows += [dict(rows[0], model=m, task="t", metric=x) for m, x in (("NLI", "accuracy"), ("QA", "f1"))]
    blind = dict(analysis="corpus_baselines", model="QA", task="t", metric="f1", inputs="blind", value=0.1)
    dots = notebook.score_dots(results.table(rows), results.table([blind]))
    ours = dots[~dots["kind"].str.startswith("the paper's")]
    assert list(zip(ours["model"], ours["kind"], ours["value"], strict=True)) == [
        ("Dep", "fine-tuned", 0.7),
        ("Dep", "previous word", 0.7),
        ("NLI", "fine-tuned", 0.7),
        ("QA", "fine-tuned", 0.7),
        ("QA", "simple classifiers", 0.1),
    ]
    assert set(dots["label"]) == {"Dep: LAS on ud-ewt", "NLI: accuracy on t", "QA: F1 on t"}
    assert (dots["kind"].str.startswith("the paper's")).sum() == len(results.paper("finetuning"))
