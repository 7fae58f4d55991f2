"""Tables of results: their columns, their provenance, and the join with the paper's numbers."""

import pandas as pd
import pytest

from helpers import profiles, progress, provenance, results

SETTINGS = profiles.settings("smoke")
ROW = dict(analysis="rsa", metric="rsa_pearson", model="Dep", task="ud-ewt", inputs="wikipedia", layer=3)


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("FINETUNING_BOOK_HOME", str(tmp_path))
    return tmp_path


def test_saved_tables_come_back_with_their_provenance(home):
    frame = results.table([ROW | dict(value=0.5, ci_low=0.4, ci_high=0.6, seed=0, n=200)])
    path = results.save("rsa", frame, SETTINGS, seconds=1.5)
    assert path == home / "results" / "smoke" / "rsa.csv"
    pd.testing.assert_frame_equal(results.read(path), frame)
    known = provenance.read(path.parent)["rsa"]
    assert known["seconds"] == 1.5 and known["settings"]["name"] == "smoke" and known["packages"]["torch"]
    results.save("finetuning", frame, SETTINGS)
    assert set(provenance.read(path.parent)) == {"rsa", "finetuning"}


def test_a_table_counts_as_saved_only_for_the_settings_and_the_code_it_was_made_with(home, monkeypatch):
    settings = profiles.settings("smoke")
    frame = results.table([dict(analysis="rsa", metric="rsa_pearson", model="NLI", layer=3, value=0.5)])
    assert results.saved("rsa", settings) is None
    results.save("rsa", frame, settings)
    assert results.saved("rsa", settings)["value"].tolist() == [0.5]
    assert results.saved("rsa", profiles.settings("smoke", n_tokens=150)) is None
    monkeypatch.setattr(provenance, "code_hash", lambda: "b" * 64)
    assert results.saved("rsa", settings) is None


def test_a_table_that_lacks_points_or_is_of_other_data_is_made_anew(home, tmp_path):
    text = tmp_path / "my.txt"
    text.write_text("One sentence.")
    settings = profiles.settings("smoke", text="text", paths={"text": str(tmp_path)})
    frame = results.table([dict(analysis="rsa", metric="rsa_pearson", model="NLI", layer=3, value=0.5)])
    results.save("rsa", frame, settings, failed={"NLI, seed 0": "MemoryError"})
    assert results.saved("rsa", settings) is None
    results.save("rsa", frame, settings, failed={})
    assert results.saved("rsa", settings) is not None
    text.write_text("Another sentence.")
    assert results.saved("rsa", settings) is None


@pytest.fixture
def said(monkeypatch):
    lines = []
    monkeypatch.setattr(progress, "say", lines.append)
    return lines


def _tables(*names):
    for name in names:
        path = results.save(name, results.table([ROW | dict(analysis=name, value=0.5)]), SETTINGS)
    return path.parent


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda p: p.write_text(p.read_text().replace("0.5", "0.6")), "not the table that"),
        (lambda p: p.write_bytes(p.read_bytes()[:-4]), "not the table that"),
        (lambda p: p.write_bytes(b"\xff" + p.read_bytes()), "not the table that"),
        (lambda p: p.write_bytes(b""), "not the table that"),
        (lambda p: p.unlink(), "missing"),
        (lambda p: (p.unlink(), p.mkdir()), "Is a directory"),
    ],
)
def test_a_damaged_table_is_not_used_and_the_others_are(home, said, spoil, reason):
    folder = _tables("rsa", "finetuning")
    spoil(folder / "rsa.csv")
    assert results.saved("rsa", SETTINGS) is None
    (line,) = said
    assert line.startswith(str(folder / "rsa.csv")) and reason in line and line.endswith("; computed again")
    assert results.saved("finetuning", SETTINGS)["value"].tolist() == [0.5] and len(said) == 1


@pytest.mark.parametrize("content", ["", "{", "[]", '{"rsa": 1}', "[" * 100_000, "\0"])
def test_an_unreadable_provenance_costs_a_computation_and_is_kept(home, said, content):
    folder = _tables("rsa", "finetuning")
    (folder / provenance.FILE).write_text(content)
    assert results.saved("rsa", SETTINGS) is None
    assert "provenance.json: not readable" in said[0] and said[0].endswith("; computed again")
    _tables("rsa")
    assert results.saved("rsa", SETTINGS)["value"].tolist() == [0.5]
    assert (folder / "provenance.json.unreadable").read_text() == content and "kept as" in said[1]
    assert results.saved("finetuning", SETTINGS) is None and "no entry in provenance.json" in said[-1]


def test_an_entry_that_was_changed_is_not_believed(home, said):
    folder = _tables("rsa")
    results.save("rsa", results.table([ROW | dict(value=0.5)]), SETTINGS, failed={"a point": "MemoryError"})
    path = folder / provenance.FILE
    path.write_text(path.read_text().replace('"failed"', '"fbiled"'))
    assert results.saved("rsa", SETTINGS) is None and "is not as it was written" in said[0]
    path.unlink()
    assert results.saved("rsa", SETTINGS) is None and "no entry in provenance.json" in said[1]
    assert results.saved("never saved", SETTINGS) is None and len(said) == 2


def test_a_recorded_table_is_the_one_that_was_recorded(home, monkeypatch):
    monkeypatch.setattr(results, "RECORDED", home / "recorded")
    folder = _tables("rsa")
    results.record("rsa", SETTINGS, "smoke")
    path = home / "recorded" / "smoke" / "rsa.csv"
    frame, entry = results.recorded("smoke", "rsa")
    assert entry["table"] == results.store.sha256(path) and frame["value"].tolist() == [0.5]
    path.write_text(path.read_text().replace("0.5", "0.9"))
    with pytest.raises(ValueError, match=r"smoke/rsa\.csv: not the table that provenance\.json describes"):
        results.recorded("smoke", "rsa")
    # Entries from before tables were hashed are believed.
    old = {k: v for k, v in entry.items() if k not in ("table", "checksum")}
    provenance.add_entry(path.parent, "rsa", old)
    assert results.recorded("smoke", "rsa")[0]["value"].tolist() == [0.9]
    (folder / "rsa.csv").write_text("")
    with pytest.raises(ValueError, match="not the table"):
        results.record("rsa", SETTINGS, "smoke")


def test_unknown_and_missing_columns_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"unknown columns \['score'\]; results have analysis, metric"):
        results.table([dict(score=1)])
    (tmp_path / "x.csv").write_text("analysis,value\nrsa,1\n")
    with pytest.raises(ValueError, match="lacks the columns metric, model"):
        results.read(tmp_path / "x.csv")


def test_recorded_runs_are_copied_and_listed(home, monkeypatch):
    monkeypatch.setattr(results, "RECORDED", home / "recorded")
    results.save("rsa", results.table([ROW | dict(value=0.5)]), SETTINGS)
    results.record("rsa", SETTINGS, "smoke")
    frame, source = results.recorded("smoke", "rsa")
    assert frame["value"].tolist() == [0.5] and source["settings"]["name"] == "smoke"
    with pytest.raises(FileNotFoundError, match="no recorded run paper/rsa; there are: smoke/rsa"):
        results.recorded("paper", "rsa")


def test_the_papers_numbers_are_complete_and_join_ours():
    rsa = results.paper("rsa")
    assert len(rsa) == 36 and set(rsa["model"]) == {"Dep", "NLI", "QA"}
    assert set(rsa["metric"]) == {"rsa_pearson"} and sorted(set(rsa["layer"])) == list(range(12))
    # The one number of that figure that its text gives: MNLI's second-to-last layer, 0.84.
    printed = rsa[(rsa["model"] == "NLI") & (rsa["layer"] == 10)]["value"].item()
    assert printed == pytest.approx(0.84, abs=0.005)
    text = results.paper("finetuning").set_index("model")["value"]
    assert text.to_dict() == {"NLI": 0.833, "QA": 0.892, "Dep": 0.963}
    with pytest.raises(ValueError, match="the paper has no analysis 'cka'; it has edge_probing"):
        results.paper("cka")


# -- rows of a table -----------------------------------------------------------------------------------


@pytest.fixture
def frame():
    rows = [dict(analysis="rsa", metric="rsa_pearson", model=m, layer=k, seed=s, value=k / 10)
            for m, seeds in (("NLI", (0, 1)), ("Dep", (0, 1)), ("Random", (1000,)), ("Base", (None,)))
            for s in seeds for k in (-1, 0, 11)]  # fmt: skip
    rows.append(dict(analysis="rsa_between_seeds", metric="rsa_pearson", model="NLI", layer=0, value=0.9))
    return results.table(rows)


def test_rows_are_selected_by_one_value_or_several(frame):
    chosen = results.select(frame, analysis="rsa", model=["Dep", "NLI"], layer=11, seed=0)
    assert chosen["model"].tolist() == ["NLI", "Dep"]  # the table's own order and index
    assert chosen.index.tolist() == frame.index[chosen.index].tolist() and set(chosen["seed"]) == {0}
    assert len(results.select(frame, layer=range(-1, 1))) == 13
    assert len(results.select(frame, model={"NLI": "any iterable", "Base": ""})) == 10
    assert results.select(frame).equals(frame) and results.select(frame, model=[]).empty


def test_empty_values_are_selected_only_where_asked_for(frame):
    assert set(results.select(frame, seed=[0, 1])["model"]) == {"NLI", "Dep"}
    assert set(results.select(frame, seed=pd.NA)["model"]) == {"Base", "NLI"}
    assert len(results.select(frame, seed=[1000, pd.NA])) == 3 + 3 + 1
    assert len(results.select(frame, inputs=float("nan"))) == len(frame)
    # Columns of objects, as tables that were never saved have them, know None.
    assert len(results.select(frame.astype({"model": object}).replace({"Base": None}), model=pd.NA)) == 3


def test_values_that_do_not_occur_are_refused_with_those_that_do(frame):
    with pytest.raises(ValueError, match="no row has model 'QA'; this table has: Base, Dep, NLI, Random"):
        results.select(frame, model=["NLI", "QA"])
    with pytest.raises(ValueError, match="no row has layer 3; this table has: -1, 0, 11"):
        results.select(frame, layer=3)
    with pytest.raises(ValueError, match="no row has model missing"):
        results.select(frame, model=pd.NA)
    with pytest.raises(ValueError, match="unknown column 'modle' .did you mean 'model'"):
        results.select(frame, modle="NLI")


def test_one_seed_keeps_what_was_not_tuned(frame):
    chosen = results.one_seed(frame)
    tuned = chosen[chosen["model"].isin(["NLI", "Dep"])]
    assert set(tuned["seed"].dropna()) == {0} and len(chosen) == 13
    assert set(chosen["model"]) == set(frame["model"])
    assert "rsa_between_seeds" in set(chosen["analysis"])


def test_wide_tables_have_the_models_in_the_books_order(frame):
    mine = results.one_seed(results.select(frame, analysis="rsa"))
    grid = results.wide(mine, "layer")
    assert grid.columns.tolist() == ["Dep", "NLI", "Base", "Random"] and grid.index.tolist() == [-1, 0, 11]
    assert grid.loc[11, "NLI"] == 1.1
    assert results.wide(mine, "model", "layer").equals(grid.T)
    named = mine.assign(text="x")
    assert (results.wide(named, "layer", values="text") == "x").all(axis=None)


def test_numbers_are_written_with_their_intervals():
    number = (-0.0049, -0.0151, 0.002)
    assert results.format_number(*number) == "0.00 [−0.02, 0.00]"
    assert results.format_number(*number, points=True, signed=True) == "−0.5 [−1.5, +0.2]"
    assert results.format_number(-0.0049, points=True) == "−0.5"
    assert results.format_number(0.5, float("nan"), float("nan")) == "0.50"


def test_rows_are_written_with_their_intervals():
    frame = pd.DataFrame(dict(value=[0.123, -0.5], ci_low=[0.1, float("nan")], ci_high=[0.2, float("nan")]))
    assert results.format_rows(frame) == ["0.12 [0.10, 0.20]", "−0.50"]
    assert results.format_rows(frame, points=True, signed=True) == ["+12.3 [+10.0, +20.0]", "−50.0"]


def test_recorded_runs_are_those_with_scores_of_the_models():
    runs = results.recorded_runs()
    assert "reduced" in runs and "pretraining" not in runs
    assert runs["reduced"]["rsa"].equals(results.recorded("reduced", "rsa")[0])


def test_statements_are_chosen_by_intervals():
    texts = dict(above="above", below="below", neither="not distinguishable")
    assert results.by_interval(0.1, 0.2, **texts) == "above"
    assert results.by_interval(-0.2, -0.1, **texts) == "below"
    for low, high in ((-0.1, 0.1), (0.0, 0.1), (-0.1, 0.0), (float("nan"), float("nan"))):
        assert results.by_interval(low, high, **texts) == "not distinguishable"
    assert results.by_interval(0.1, 0.2, bound=0.3, **texts) == "below"
