"""The paper's own numbers as a run's tables, so that the same rules judge them."""

import pandas as pd

from helpers import results
from helpers.claims.numbers import Number
from helpers.claims.run import PROBING_TASKS


def tables(error: float | None = None) -> dict[str, pd.DataFrame]:
    """The paper's numbers as tables of results, with the differences that claims are about.

    The interval of a number is how exactly it could be read, or ``error`` if given: it says nothing about
    sampling, which the paper's numbers do not let one judge.
    """
    frame = pd.read_csv(results.PAPER, dtype={"layer": "Int64"}).replace({"inputs": PROBING_TASKS})
    half = frame["tolerance"].fillna(5e-5) if error is None else error
    frame = frame.assign(ci_low=frame["value"] - half, ci_high=frame["value"] + half, seed=pd.NA, n=pd.NA)
    by_analysis = {str(name): rows for name, rows in frame[results.COLUMNS].groupby("analysis")}
    for name in ("edge_probing", "structural_probe"):
        differences = _differences(by_analysis[name], "model", "Base", ["metric", "inputs", "layer"])
        by_analysis[f"{name}_delta"] = differences.assign(analysis=f"{name}_delta")
    outside = by_analysis["out_of_domain_rsa"]
    gaps = _differences(outside, "inputs", "wikipedia", ["metric", "model", "layer"])
    by_analysis["out_of_domain_gap"] = gaps.assign(
        analysis="out_of_domain_gap", metric="rsa_gap", inputs="raw"
    )
    return by_analysis


def _differences(frame: pd.DataFrame, column: str, base: str, keys: list[str]) -> pd.DataFrame:
    """All rows minus the one that has ``base`` in ``column`` and the same values of ``keys``."""
    numbers: dict[tuple, Number] = {}
    rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
    for row in rows:
        numbers[row[column], *(row[name] for name in keys)] = Number(
            row["value"], row["ci_low"], row["ci_high"]
        )
    differences = []
    for key, row in zip(numbers, rows, strict=True):
        if row[column] != base:
            change = numbers[key] - numbers[base, *key[1:]]
            differences.append(row | dict(value=change.value, ci_low=change.low, ci_high=change.high))
    return results.table(differences)
