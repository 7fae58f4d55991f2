"""What every notebook begins with and ends on."""

import dataclasses

import pandas as pd
import pytest

from helpers import notebook, profiles


def test_parameters_are_taken_from_a_notebooks_variables(capsys):
    variables = dict(profile="smoke", n_tokens=150, seeds=None, steps=3, edge=notebook, __name__="__main__")
    assert notebook.begin(variables) == profiles.settings("smoke", n_tokens=150)
    assert capsys.readouterr().out.startswith("profile   smoke-")
    with pytest.raises(ValueError, match="n_tokens"):
        notebook.begin(dict(profile="smoke", n_tokens="many"))


def test_what_a_notebook_can_set_is_of_simple_values():
    quick = dataclasses.asdict(profiles.PROFILES["quick"])
    assert notebook.PARAMETERS < set(quick)
    for name in notebook.PARAMETERS:
        values = quick[name] if isinstance(quick[name], tuple) else [quick[name]]
        assert all(isinstance(value, str | int | float | dict | None) for value in values), name


def test_numbers_are_glued_under_their_names_and_not_shown(monkeypatch):
    import myst_nb

    glued = {}
    monkeypatch.setattr(myst_nb, "glue", lambda name, text, display: glued.update({name: (text, display)}))
    notebook.glue({"a-b": "1"}, c=2)
    assert glued == {"a-b": ("1", False), "c": (2, False)}


def test_tables_are_shown_without_index_and_trailing_zeros():
    html = notebook.plain(pd.DataFrame({"rate": [1e-4, 3.0], "n": [20, "all"]}, index=[0, 0])).to_html()
    assert ">0.0001<" in html and ">3<" in html and ">all<" in html and 'class="row_heading' not in html


def test_recipes_are_described_by_task():
    quick = profiles.PROFILES["quick"]
    table = notebook.recipes(quick.tasks).set_index("model")
    assert table.index.tolist() == [task.model for task in quick.tasks]
    own = quick.task("NLI")
    assert table.loc["NLI", "of the output"] == own.recipe.head_learning_rate
    assert table.loc["NLI", "training records"] == own.train_limit
    task = dataclasses.replace(own, train_limit=None, recipe=profiles.TuningRecipe())
    (row,) = notebook.recipes([task]).to_dict("records")
    assert row["training records"] == "all" and row["of the output"] == row["learning rate"]
    assert row["dropout"] == "the encoder's own"
