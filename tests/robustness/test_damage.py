"""Flipped bits, cut and missing files in the store and the results: nothing damaged is used."""

import json
import shutil
from collections import Counter

import numpy as np
import pandas as pd
import pytest

from helpers import progress, provenance, results
from helpers.store import MANIFEST, DamagedArtifact, Store

N_ARTIFACTS, N_RESULTS = 300, 120


def damage(path, rng):
    """Spoil a file in one of five ways; returns its name. The content is always another one."""
    content = path.read_bytes()
    way = str(rng.choice(["flipped bit", "cut short", "missing", "longer", "zeros"]))
    if way == "flipped bit":
        spoilt = bytearray(content)
        spoilt[rng.integers(len(content))] ^= 1 << int(rng.integers(8))
    elif way == "cut short":
        spoilt = content[: rng.integers(len(content))]
    elif way == "longer":
        spoilt = content + bytes(rng.integers(1, 256, 3, dtype=np.uint8))
    else:
        spoilt = bytes(len(content))
    path.unlink()
    if way != "missing" and bytes(spoilt) != content:
        path.write_bytes(spoilt)
    return way


@pytest.fixture
def home(whole, tmp_path, monkeypatch):
    home = tmp_path / "home"
    shutil.copytree(whole, home)
    monkeypatch.setenv("FINETUNING_BOOK_HOME", str(home))
    return home


def test_no_damaged_artifact_is_used(home, whole, show):
    rng, counts = np.random.default_rng(0), Counter()
    root = home / "artifacts"
    files = sorted(path for path in root.rglob("*") if path.is_file() and path.stat().st_size)
    for path in rng.choice(files, N_ARTIFACTS):
        folder = root.joinpath(*path.relative_to(root).parts[:2])
        original = path.read_bytes()
        manifest = json.loads((folder / MANIFEST).read_text())
        way = damage(path, rng)
        try:
            got = Store().get(manifest["kind"], manifest["spec"], None)
        except DamagedArtifact as error:
            assert str(path) in str(error) or path.name == MANIFEST and str(folder) in str(error)
            counts[f"{way}: refused"] += 1
        else:
            # A manifest also says when an artifact was made and of what, which nothing is computed from.
            assert path.name == MANIFEST
            read = json.loads(path.read_bytes())
            assert got == folder and read["files"] == manifest["files"]
            counts["notes in a manifest altered, content as it was"] += 1
        path.write_bytes(original)
    show(f"{N_ARTIFACTS} damaged artifacts: {dict(sorted(counts.items()))}")
    assert sum(n for what, n in counts.items() if what.endswith("refused")) > 0.9 * N_ARTIFACTS


def test_no_damaged_table_is_used(home, settings, show, monkeypatch):
    said, rng, counts = [], np.random.default_rng(1), Counter()
    monkeypatch.setattr(progress, "say", said.append)
    folder = results.folder(settings)
    names = sorted(path.stem for path in folder.glob("*.csv"))
    wholes = {name: results.saved(name, settings) for name in names}
    assert not said and all(frame is not None for frame in wholes.values())
    for number in range(N_RESULTS):
        path = folder / (provenance.FILE if number % 3 == 0 else f"{rng.choice(names)}.csv")
        original = path.read_bytes()
        way = damage(path, rng)
        said.clear()
        frames = {name: results.saved(name, settings) for name in names}
        refused = {name for name in names if frames[name] is None}
        for name in names:
            if name not in refused:
                pd.testing.assert_frame_equal(frames[name], wholes[name])
        if path.suffix == ".csv":
            assert refused == {path.stem}
        elif not refused:  # white space, or a digit's exponent: the same entries
            assert json.loads(path.read_bytes()) == json.loads(original)
        assert len(said) == len(refused) and all("computed again" in line for line in said)
        counts[f"{way} in {'a table' if path.suffix == '.csv' else 'provenance'}: refused"] += bool(refused)
        counts["same entries spelled otherwise"] += not refused
        path.unlink(missing_ok=True)
        path.write_bytes(original)
    show(f"{N_RESULTS} damaged results: {dict(sorted(counts.items()))}")
    assert counts["same entries spelled otherwise"] < 0.05 * N_RESULTS
