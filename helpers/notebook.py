"""What every notebook does: take its parameters, show tables, put numbers into its prose."""

import ast
import dataclasses
import html
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd
from pandas.io.formats.style import Styler

from helpers import plotting, profiles, provenance, results
from helpers.analyses import inputs
from helpers.validation import unknown
from helpers.vocabulary import HEADLINE

SETTINGS = {field.name for field in dataclasses.fields(profiles.Profile)} - {"name"}
_INJECTED = "# Parameters"  # how the cell begins that papermill puts after the notebook's own


def begin(variables: Mapping[str, Any]) -> profiles.Profile:
    """The settings that a notebook's parameters come to; prints what it runs on and sets the book's style.

    ``variables`` are its ``globals()``: ``profile``, and the settings of that profile which it replaces
    (None: left as they are). Papermill may give any setting, also those that the notebook does not list.
    Raises ValueError for an unknown profile, parameter or value, and for folders of corpora as
    :func:`helpers.analyses.inputs.check_corpora` does.
    """
    given = _parameters(variables)
    changes = {name: value for name, value in given.items() if name in SETTINGS}
    settings = profiles.settings(given["profile"], **changes)
    inputs.check_corpora(settings)
    plotting.use_style()
    pd.set_option("display.max_colwidth", None)  # cells of tables wrap; nothing in them is left out
    _draw_vectors()
    print(provenance.banner(settings))
    return settings


def _draw_vectors() -> None:
    """Have the notebook that this runs in, if any, show figures as SVG, as large as they are drawn."""
    from IPython import get_ipython
    from matplotlib_inline.backend_inline import set_matplotlib_formats

    if get_ipython() is not None:
        # Neither cut to what is in them, which changes their size, nor dated, which makes each run's differ.
        set_matplotlib_formats("svg", bbox_inches=None, metadata={"Date": None, "Creator": None})


def _parameters(variables: Mapping[str, Any]) -> dict[str, Any]:
    """What the parameters' cells set: the notebook's own and the one that papermill adds.

    Other cells' variables may have the same names as settings, so the values are read in the cells' source.
    """
    cells = [cell for cell in variables.get("In", ()) if "profile" in _assigned(cell, variables)]
    own = [cell for cell in cells if not cell.startswith(_INJECTED)]
    if not own:  # not in a notebook
        return dict(variables)
    given = _assigned(own[-1], variables)
    for cell in variables["In"]:
        if cell.startswith(_INJECTED):
            added = _assigned(cell, variables)
            for name in added:
                if name not in given and name not in SETTINGS:
                    raise ValueError(unknown("parameter", name, [*given, *sorted(SETTINGS - set(given))]))
            given |= added
    return given


def _assigned(source: str, variables: Mapping[str, Any]) -> dict[str, Any]:
    """The names that a cell assigns at its top level and their values, as they now are if no literals."""
    try:
        lines = ast.parse(source).body
    except SyntaxError:  # a cell of IPython's own commands
        return {}
    assigned = {}
    for line in lines:
        if isinstance(line, ast.Assign) and isinstance(line.targets[0], ast.Name):
            name = line.targets[0].id
            try:
                assigned[name] = ast.literal_eval(line.value)
            except ValueError:
                assigned[name] = variables.get(name)
    return assigned


def recipes(tasks: Sequence[profiles.Task]) -> pd.DataFrame:
    """How models are fine-tuned, to show: one row per task, its limits standing for numbers of records."""
    return pd.DataFrame(
        {
            "model": task.model,
            "corpus": task.corpus,
            "training records": task.train_limit or "all",
            "evaluated on": task.eval_limit or "all",
            "epochs": task.recipe.epochs,
            "learning rate": task.recipe.learning_rate,
            "head learning rate": task.recipe.head_learning_rate or task.recipe.learning_rate,
            "batch": task.recipe.batch_size,
            "dropout": "the encoder's own" if task.recipe.dropout is None else task.recipe.dropout,
            "longest input": task.recipe.max_length,
        }
        for task in tasks
    )


def score_dots(*tables: pd.DataFrame) -> pd.DataFrame:
    """The headline scores of a run's first seed, the baselines beside them and the paper's scores.

    ``tables`` are of fine-tuning and of the corpora's baselines; what is returned is for
    :func:`helpers.plotting.scores`.
    """
    first = results.one_seed(pd.concat(tables, ignore_index=True))
    first = first[first["metric"] == first["model"].map(HEADLINE)].drop_duplicates(["model", "inputs"])
    kinds = first["inputs"].replace("in_domain", "fine-tuned").str.replace("_", " ")
    kinds = kinds.mask(first["analysis"] == "corpus_baselines", "simple classifiers")
    paper = results.paper("finetuning").assign(kind="the paper's BERT-base, on its own corpora")
    both = pd.concat([first.assign(kind=kinds), paper])
    names = {
        row.model: f"{row.model}: {plotting.METRICS[row.metric]} on {row.task}"
        for row in results.select(first, inputs="in_domain").itertuples()
    }
    both = both.sort_values("model", key=lambda column: column.map(list(names).index), kind="stable")
    return both.assign(label=both["model"].map(names))


def glue(texts: Mapping[str, Any] | None = None, **more: Any) -> None:
    """Make numbers available to the page's prose by their names, without showing them here."""
    from myst_nb import glue as glue_one

    for name, text in {**(texts or {}), **more}.items():
        glue_one(name, text, display=False)


def plain(
    frame: pd.DataFrame, form: Callable[[float], str] = "{:g}".format, *, index: bool = False
) -> Styler:
    """A table for display: numbers as ``form`` has them (:class:`float` only), the missing left blank.

    Text is shown as it is: markup in what corpora hold is escaped. ``index``: show the table's index too.
    """

    def shown(value: Any) -> str:
        if pd.api.types.is_scalar(value) and pd.isna(value):
            return ""
        return form(value) if isinstance(value, float) else html.escape(str(value))

    styler = frame.style.format(shown).format_index(lambda value: html.escape(str(value)), axis="columns")
    if not index:
        return styler.hide(axis="index")
    return styler.format_index(lambda value: html.escape(str(value)), axis="index")
