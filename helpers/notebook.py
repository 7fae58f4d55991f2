"""What every notebook does: take its parameters, show tables, put numbers into its prose."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from pandas.io.formats.style import Styler

from helpers import plotting, profiles, provenance

# Settings of a profile that are no single values, so that a notebook cannot have them as parameters.
_NO_PARAMETERS = {"name", "tasks", "sweep", "edge", "structural"}
PARAMETERS = {field.name for field in dataclasses.fields(profiles.Profile)} - _NO_PARAMETERS


def begin(variables: Mapping[str, Any]) -> profiles.Profile:
    """The settings that a notebook's parameters come to; prints what it runs on and sets the book's style.

    ``variables`` are its ``globals()``: ``profile``, and the settings of that profile which it replaces
    (None: left as they are). Raises ValueError for an unknown profile or value.
    """
    chosen = {name: value for name, value in variables.items() if name in PARAMETERS}
    settings = profiles.settings(variables["profile"], **chosen)
    plotting.use_style()
    print(provenance.banner(settings))
    return settings


def recipes(tasks: Sequence[profiles.Task]) -> pd.DataFrame:
    """How models are fine-tuned, to show: one row per task, its limits standing for numbers of records."""
    return pd.DataFrame(
        {
            "model": task.model,
            "corpus": task.corpus,
            "training records": task.train_limit or "all",
            "judged on": task.eval_limit or "all",
            "epochs": task.recipe.epochs,
            "learning rate": task.recipe.learning_rate,
            "of the output": task.recipe.head_learning_rate or task.recipe.learning_rate,
            "batch": task.recipe.batch_size,
            "dropout": "the encoder's own" if task.recipe.dropout is None else task.recipe.dropout,
            "longest input": task.recipe.max_length,
        }
        for task in tasks
    )


def glue(texts: Mapping[str, Any] | None = None, **more: Any) -> None:
    """Make numbers available to the page's prose by their names, without showing them here."""
    from myst_nb import glue as glue_one

    for name, text in {**(texts or {}), **more}.items():
        glue_one(name, text, display=False)


def plain(frame: pd.DataFrame) -> Styler:
    """A table for display without its index, floats as short as they can be."""
    shown = frame.style.hide(axis="index")
    return shown.format(lambda value: f"{value:g}" if isinstance(value, float) else str(value))
