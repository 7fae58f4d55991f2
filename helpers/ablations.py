"""Layer ablations: encoders cut off or drawn anew above a layer, and runs of which only the scores are kept.

The third ablation, freezing what is below a layer, is an option of
:func:`helpers.finetuning.training.finetune`.
"""

import contextlib
import copy
import dataclasses
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from torch import nn

from helpers import encoders, store
from helpers.encoders import Encoder
from helpers.finetuning.frozen import Prefix, blocks_path, section
from helpers.finetuning.training import SCHEMA, finetune, get_together
from helpers.profiles import Task


def truncated(encoder: Encoder, layer: int) -> nn.Module:
    """The encoder without the blocks above ``layer``, whose output becomes the last hidden states.

    It shares the encoder's weights; what is above the blocks (BERT's pooler) now reads that layer. Raises
    ValueError for a block that the encoder lacks.
    """
    _check_block(encoder, layer, encoder.layers[-1])
    model = section(encoder.model, 0, layer + 1)
    model.config = copy.deepcopy(encoder.model.config)
    model.config.num_hidden_layers = layer + 1
    return model


def reinitialised(encoder: Encoder, lowest: int, seed: int) -> nn.Module:
    """The encoder with its blocks from ``lowest`` on drawn anew, as its configuration draws them.

    What is above the blocks (BERT's pooler) is drawn anew with them, as in Zhang et al. (2021; "Revisiting
    Few-sample BERT Fine-tuning"). With ``lowest`` the number of blocks, nothing is. The encoder itself
    stays as it is. Raises ValueError for a number beyond that.
    """
    _check_block(encoder, lowest, len(encoder.layers) - 1)
    model = copy.deepcopy(encoder.model)
    if lowest == len(encoder.layers) - 1:
        return model
    with encoders.seeded(seed):
        fresh = type(model)(model.config).to(encoder.device)
    path = ".".join(blocks_path(model))
    blocks, drawn = model.get_submodule(path), fresh.get_submodule(path)
    for block in range(lowest, len(blocks)):
        blocks[block].load_state_dict(drawn[block].state_dict())
    if getattr(model, "pooler", None) is not None:
        model.pooler.load_state_dict(fresh.pooler.state_dict())
    return model.eval()


def _check_block(encoder: Encoder, number: int, highest: int) -> None:
    if not 0 <= number <= highest:
        raise ValueError(f"{encoder.name} has no block {number!r}; valid: 0 to {highest}")


@contextlib.contextmanager
def saved(encoder: Encoder, model: nn.Module) -> Iterator[Path]:
    """A folder, gone afterwards, with a changed model and the encoder's tokenizer."""
    with tempfile.TemporaryDirectory() as folder, encoders.quiet():
        model.save_pretrained(folder)
        encoder.tokenizer.save_pretrained(folder)
        yield Path(folder)


def predictions(
    task: Task,
    encoder: str | Path,
    train: Sequence,
    evaluation: Sequence,
    *,
    seed: int,
    cache: store.Store,
    frozen: int = -1,
    prefix: Prefix | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[dict]:
    """What the encoder, fine-tuned as by :func:`finetune`, predicts for the evaluation records.

    Rows as of :meth:`FineTuned.predictions`. They alone are kept in the store: a sweep of a hundred runs
    would fill a disk with weights. A run that was killed goes on where it was.
    """
    spec = {
        "schema": SCHEMA[task.model],
        "model": task.model,
        "recipe": dataclasses.asdict(task.recipe),
        "encoder": encoders.fingerprint(encoders.resolve(encoder)),
        "train": store.digest([dataclasses.asdict(record) for record in train]),
        "evaluation": store.digest([dataclasses.asdict(record) for record in evaluation]),
        "seed": seed,
        "frozen": frozen,
    }

    def build(folder: Path) -> None:
        inner = folder / "run"
        options = dict(seed=seed, cache=store.Store(inner), frozen=frozen, prefix=prefix, progress=progress)
        tuned = finetune(task, encoder, train, evaluation, **options)
        if int(os.environ.get("RANK", 0)) == 0:  # under torchrun all processes come here
            shutil.copy(tuned.folder / "predictions.jsonl", folder)
            shutil.rmtree(inner)

    found = get_together(cache, "ablation", spec, build) / "predictions.jsonl"
    return [json.loads(line) for line in found.read_text(encoding="utf-8").splitlines()]
