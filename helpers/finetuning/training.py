"""Fine-tune an encoder on a task and keep the result in the store.

Optimisation follows google-research/bert: :class:`BertAdam`, gradients clipped to norm 1, linear warm-up
and linear decay to zero. The schedule is Hugging Face's: after a warm-up of a tenth of the steps its rates
are 1 / .9 of google-research/bert's, whose decay begins at the first step. ``torchrun`` spreads a run over
GPUs and nodes; ``batch_size`` is that of all processes together.
"""

import contextlib
import dataclasses
import json
import os
import random
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import distributed

from helpers import checkpoints, encoders, precision, progress, store
from helpers.finetuning import batches, prediction, tasks
from helpers.finetuning.batches import Inputs
from helpers.finetuning.blocks import Prefix, above
from helpers.finetuning.dropout import BitDropout
from helpers.finetuning.prediction import Predictor, TaskModel
from helpers.profiles import Task, TuningRecipe

CLIP = 1.0
LOG_LINES = 100  # of the loss log, at most
CHECKPOINT = "checkpoint.pt"
STATES = "finetuning-states"  # kind of artifact
CPU_PIECES = 2048  # wordpieces that a CPU takes at once
MULTIPLE = 8  # lengths are padded to a multiple of this: new shapes cost time and memory


@dataclass(frozen=True)
class FineTuned:
    """A fine-tuned model in the store.

    Its folder holds ``encoder/`` (tokenizer included; ``AutoModel.from_pretrained`` loads it), the head
    (``head.safetensors``, ``head.json``), ``scores.json``, ``training.jsonl`` and ``predictions.jsonl``.
    """

    folder: Path

    @property
    def encoder(self) -> Path:
        return self.folder / "encoder"

    @cached_property
    def report(self) -> dict[str, Any]:
        """``scores``, ``baselines`` (name -> scores), ``counts`` of records cut or skipped, ``training``."""
        return json.loads((self.folder / "scores.json").read_text(encoding="utf-8"))

    @property
    def scores(self) -> dict[str, float]:
        """Scores on the evaluation records, the task's headline score first."""
        return self.report["scores"]

    @property
    def baselines(self) -> dict[str, dict[str, float]]:
        """Scores of rules that read no text, and of the ``untrained`` model: a random head on the encoder."""
        return self.report["baselines"]

    def log(self) -> list[dict[str, Any]]:
        """The course of training: rows of ``step``, ``epoch``, ``loss``, ``learning_rate``, ``grad_norm``."""
        return _read_lines(self.folder / "training.jsonl")

    def predictions(self) -> list[dict[str, Any]]:
        """One row per evaluation record, in order: what was predicted, ``correct`` and ``total``."""
        return _read_lines(self.folder / "predictions.jsonl")


def finetune(
    task: Task,
    encoder: str | Path,
    train: Sequence,
    evaluation: Sequence,
    *,
    seed: int,
    cache: store.Store,
    frozen: int = -1,
    prefix: Prefix | None = None,
    checkpoint_every: float = 180.0,
) -> FineTuned:
    """The encoder fine-tuned on ``train`` and scored on ``evaluation``, from the store or trained into it.

    ``encoder`` is anything :func:`encoders.resolve` takes. Same records, settings and seed on the same
    machine give the same numbers, also if training was killed and resumed: it saves its state every
    ``checkpoint_every`` seconds.

    ``frozen`` is the last layer that stays as it is, with all below it: -1 tunes everything, embeddings
    included, 0 freezes those and the first block, the last layer leaves the head and, in BERT, the pooler
    above the blocks. What is frozen has no dropout. Runs that share a ``prefix`` share its states;
    without one, the run makes its own.

    Under torchrun all processes call this alike; they train together and the first one writes. Raises
    ValueError for an unknown task, records that do not fit it, an evaluation label unknown in training, a
    ``max_length`` beyond the encoder's, a layer it lacks, a prefix of another encoder, or a batch size that
    the processes cannot share evenly, and FloatingPointError if the loss is not finite.
    """
    tasks.get(task.model).check_parts(train, evaluation)
    spec = _spec(task, encoder, train, evaluation, seed) | {"corpus": task.corpus}
    if frozen != -1:
        spec["frozen"] = frozen

    def build(folder: Path) -> None:
        _tune(folder, task, encoder, train, evaluation, seed, frozen, prefix, checkpoint_every)

    return FineTuned(get_together(cache, "finetuned", spec, build))


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
) -> list[dict[str, Any]]:
    """What the encoder, fine-tuned as by :func:`finetune`, predicts for the evaluation records.

    Rows as of :meth:`FineTuned.predictions`. Only they are kept in the store: a sweep of a hundred runs
    would fill a disk with weights. A run that was killed resumes where it was. Errors as of :func:`finetune`.
    """
    tasks.get(task.model).check_parts(train, evaluation)
    spec = _spec(task, encoder, train, evaluation, seed) | {"frozen": frozen}

    def build(folder: Path) -> None:
        with _contained(seed):
            predictor = _begun(folder, task, encoder, train, seed, frozen, prefix)
            predictor.encode(evaluation, targets=False)  # what is wrong with them shows before training
            _train(folder, predictor, _inputs(predictor, train), seed, _named(task, seed))
            if is_first():  # under torchrun all processes come here
                rows = prediction.predict(predictor, evaluation)
                predictor.task.score(evaluation, rows)  # which says how much of each row is correct
                _write_lines(folder / "predictions.jsonl", rows)
                (folder / CHECKPOINT).unlink(missing_ok=True)

    return _read_lines(get_together(cache, "ablation", spec, build) / "predictions.jsonl")


def states(
    task: Task,
    encoder: str | Path,
    train: Sequence,
    evaluation: Sequence,
    *,
    steps: Sequence[int],
    seed: int,
    cache: store.Store,
    checkpoint_every: float = 180.0,
) -> dict[int, FineTuned]:
    """Intermediate models of :func:`finetune`, by step, from the store or trained into it.

    ``steps`` are numbers of optimiser steps taken, from 1 to :func:`count_steps`; training ends with the last
    of them. Each step keeps encoder, head, predictions and scores, but no baselines or log.
    The state after all steps is the model that :func:`finetune` gives. Resumes as that does, and
    raises the same errors; ValueError too for steps that are not increasing or that the training lacks.
    """
    tasks.get(task.model).check_parts(train, evaluation)
    steps = list(steps)
    if not steps or steps[0] < 1 or steps != sorted(set(steps)):
        raise ValueError(f"steps to keep must increase from 1 or more, got {steps}")
    spec = _spec(task, encoder, train, evaluation, seed) | {"steps": steps}

    def build(folder: Path) -> None:
        _pass_through(folder, task, encoder, train, evaluation, seed, steps, checkpoint_every)

    folder = get_together(cache, STATES, spec, build)
    return {step: FineTuned(folder / str(step)) for step in steps}


def count_steps(task: Task, encoder: str | Path, train: Sequence) -> int:
    """How many optimiser steps :func:`finetune` takes. Errors as there for records that do not fit."""
    inputs = _inputs(_headed(task, encoder, train, 0), train)
    return _steps(task.recipe, batches.Order(inputs.lengths, task.recipe.batch_size, 0))


def _spec(
    task: Task, encoder: str | Path, train: Sequence, evaluation: Sequence, seed: int
) -> dict[str, Any]:
    """What the numbers of a run depend on."""
    return {
        "schema": tasks.get(task.model).schema,
        "model": task.model,
        "recipe": dataclasses.asdict(task.recipe),
        "encoder": encoders.fingerprint(encoders.resolve(encoder)),
        "train": store.digest([dataclasses.asdict(record) for record in train]),
        "evaluation": store.digest([dataclasses.asdict(record) for record in evaluation]),
        "seed": seed,
    }


def get_together(cache: store.Store, kind: str, spec: dict, build: Callable[[Path], None]) -> Path:
    """:meth:`Store.get` for one process or several: the first asks the store, all of them build."""
    if processes() == 1:
        return cache.get(kind, spec, build)
    if not distributed.is_initialized():
        distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))

    def shared(folder: Path | None) -> Path | None:
        """What the first process gives, in all of them."""
        message = [folder]
        distributed.broadcast_object_list(message)
        return message[0]

    if is_first():

        def build_together(folder: Path) -> None:
            shared(folder)
            build(folder)

        folder = cache.get(kind, spec, build_together)
        shared(None)
        return folder
    while (asked := shared(None)) is not None:
        build(asked)
    return cache.path(kind, spec)


def processes() -> int:
    """How many processes torchrun has started; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", 1))


def is_first() -> bool:
    return int(os.environ.get("RANK", 0)) == 0


def load(folder: str | Path, *, device: str = "auto") -> Predictor:
    """A fine-tuned model from its artifact's folder, ready for :func:`prediction.predict`."""
    folder = Path(folder)
    settings = json.loads((folder / "head.json").read_text(encoding="utf-8"))
    encoder = encoders.load(folder / "encoder", device=device)
    task, labels = tasks.get(settings["model"]), tuple(settings["labels"])
    head = task.head(encoder, labels)
    head.load_state_dict(safetensors.torch.load_file(folder / "head.safetensors"))
    model = TaskModel(encoder.model, head.to(encoder.device)).eval()
    return Predictor(task, model, encoder, labels, TuningRecipe(**settings["recipe"]))


# -- optimisation ----------------------------------------------------------------------------------


class BertAdam(torch.optim.AdamW):
    """The optimiser of google-research/bert: Adam with decoupled weight decay and no bias correction.

    m and v are running means of gradient and squared gradient; p -= lr * (m / (sqrt(v) + eps) + decay * p).
    That is AdamW once its step count is so large that the bias corrections are 1, so each parameter
    starts at an infinite one and the fused kernel does the rest.
    """

    def __init__(self, groups, lr: float):
        super().__init__(groups, lr=lr, betas=(0.9, 0.999), eps=1e-6, fused=True)
        for group in self.param_groups:
            for parameter in group["params"]:
                self.state[parameter] = {
                    "step": torch.full((), torch.inf, device=parameter.device),
                    "exp_avg": torch.zeros_like(parameter),
                    "exp_avg_sq": torch.zeros_like(parameter),
                }


def parameter_groups(model: TaskModel, recipe: TuningRecipe) -> list[dict[str, Any]]:
    """Trainable parameters by learning rate (encoder, head) and weight decay (none on biases, LayerNorm)."""
    head_rate = recipe.learning_rate if recipe.head_learning_rate is None else recipe.head_learning_rate
    groups = []
    for part, rate in ((model.encoder, recipe.learning_rate), (model.head, head_rate)):
        trained = [p for p in part.parameters() if p.requires_grad]
        for decay, chosen in (
            (recipe.weight_decay, [p for p in trained if p.ndim > 1]),
            (0.0, [p for p in trained if p.ndim <= 1]),
        ):
            if chosen:
                groups.append({"params": chosen, "lr": rate, "weight_decay": decay})
    return groups


# -- training --------------------------------------------------------------------------------------


def _tune(folder, task: Task, encoder, train, evaluation, seed, frozen, prefix, checkpoint_every) -> None:
    """Train in ``folder``, going on from a checkpoint there, and fill it."""
    with _contained(seed):
        predictor = _begun(folder, task, encoder, train, seed, frozen, prefix)
        # Evaluation records are encoded first too, so that what is wrong with them shows at once.
        before = folder / "untrained.json"
        if not before.exists() and is_first():
            rows = prediction.predict(predictor, evaluation)
            with store.atomic_write(before) as file:
                json.dump(predictor.task.score(evaluation, rows), file)
        inputs = _inputs(predictor, train)
        course, facts = _train(folder, predictor, inputs, seed, _named(task, seed), checkpoint_every)
        if is_first():
            _write(folder, predictor, task, train, evaluation, inputs, course, facts)


def _pass_through(folder, task: Task, encoder, train, evaluation, seed, steps, checkpoint_every) -> None:
    """Train in ``folder``, going on from a checkpoint there, and fill it with the states after ``steps``."""

    def keep(step: int) -> None:
        if step in steps and is_first():
            partial, kept = folder / f"{step}.partial", folder / str(step)
            for left in (partial, kept):  # of a run that was killed
                shutil.rmtree(left, ignore_errors=True)
            partial.mkdir()
            _write_model(partial, predictor, task)
            partial.rename(kept)

    with _contained(seed):
        predictor = _headed(task, encoder, train, seed)
        inputs = _inputs(predictor, train)
        what = f"{_named(task, seed)}, keeping states"
        _train(folder, predictor, inputs, seed, what, checkpoint_every, keep, steps[-1])
        for step in steps if is_first() else ():
            kept = load(folder / str(step))
            rows = prediction.predict(kept, evaluation)
            _write_json(folder / str(step) / "scores.json", {"scores": kept.task.score(evaluation, rows)})
            _write_lines(folder / str(step) / "predictions.jsonl", rows)
        if is_first():  # the others must not delete what it would resume from
            (folder / CHECKPOINT).unlink(missing_ok=True)


def _named(task: Task, seed: int) -> str:
    return f"fine-tuning {task.model} on {task.corpus}, seed {seed}"


def _begun(folder: Path, task: Task, encoder, train, seed: int, frozen: int, prefix) -> Predictor:
    """What is trained: the encoder, or its blocks above ``frozen``, under a new head."""
    if prefix and prefix.encoder.fingerprint != encoders.fingerprint(encoders.resolve(encoder)):
        raise ValueError(f"the prefix is one of {prefix.encoder.name}, not of {encoder}")
    predictor = _headed(task, encoder, train, seed)
    return predictor if frozen == -1 else above(predictor, prefix or Prefix(encoder, folder), frozen)


def _headed(task: Task, encoder: str | Path, train: Sequence, seed: int) -> Predictor:
    """The encoder, with the recipe's dropout, under a new head."""
    loaded = encoders.load(encoder)
    if task.recipe.dropout is not None:
        encoders.set_dropout(loaded.model, task.recipe.dropout)
    return prediction.untrained(task, loaded, tasks.get(task.model).labels(train), seed)


def _inputs(predictor: Predictor, train: Sequence) -> Inputs:
    inputs = predictor.encode(train, targets=True)
    if not len(inputs):
        longest = predictor.recipe.max_length
        raise ValueError(f"none of the {len(train)} training records fits max_length {longest}")
    return inputs


def _steps(recipe: TuningRecipe, order: batches.Order) -> int:
    return max(1, round(recipe.epochs * order.steps_per_epoch))


@contextlib.contextmanager
def _contained(seed: int) -> Iterator[None]:
    """Seed all generators within the block; give them and other global state back afterwards."""
    generators = random.getstate(), np.random.get_state()
    deterministic = torch.are_deterministic_algorithms_enabled()
    # CUDA kernels that add in arbitrary order would make two runs differ.
    devices = list(range(torch.cuda.device_count()))
    if devices:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    with torch.random.fork_rng(devices=devices), encoders.quiet():
        torch.use_deterministic_algorithms(bool(devices) or deterministic)
        random.seed(seed)
        np.random.seed(seed % 2**32)
        torch.manual_seed(seed)
        try:
            yield
        finally:
            random.setstate(generators[0])
            np.random.set_state(generators[1])
            torch.use_deterministic_algorithms(deterministic)


def _train(
    folder: Path,
    predictor: Predictor,
    inputs: Inputs,
    seed: int,
    what: str,
    checkpoint_every: float = 180.0,
    keep: Callable[[int], None] = lambda step: None,
    until: int | None = None,
) -> tuple[list[dict], dict]:
    """Train the predictor's model in place: (rows of the loss log, facts about the run).

    ``keep`` is called after each step with the number of steps taken; it must leave the model as it is.
    Training ends after step ``until``, with the rates of the whole run.
    """
    recipe, encoder = predictor.recipe, predictor.encoder
    if recipe.batch_size % processes():
        raise ValueError(f"batch size {recipe.batch_size} cannot be shared by {processes()} processes")
    order = batches.Order(inputs.lengths, recipe.batch_size, seed)
    steps = _steps(recipe, order)
    until = steps if until is None else until
    if until > steps:
        raise ValueError(f"{what}: step {until} asked for, the training has {steps}")
    log_every = -(-steps // LOG_LINES)
    optimizer = BertAdam(parameter_groups(predictor.model, recipe), recipe.learning_rate)
    rates = [group["lr"] for group in optimizer.param_groups]
    trained = [p for group in optimizer.param_groups for p in group["params"]]
    checkpoint = folder / CHECKPOINT
    step, course, sums = 0, [], []  # type: int, list[dict], list[float]
    if state := checkpoints.load(checkpoint, encoder.device):
        predictor.model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        step, course, sums = state["step"], state["course"], state["sums"]
    first, began, saved, seen = step, time.time(), time.monotonic(), 0
    predictor.model.train()
    with _fast(encoder.model, encoder.device):
        while step < until:
            chosen = order.at(step)
            torch.manual_seed(store.number([seed, step, int(os.environ.get("RANK", 0))]))  # for dropout
            scale = _scale(step, recipe, steps)
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * scale
            loss = backward(predictor, [inputs[i] for i in chosen], trained)
            norm = torch.nn.utils.clip_grad_norm_(trained, CLIP)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            seen += int(inputs.lengths[chosen].sum())
            sums.append(loss)
            step += 1
            if not np.isfinite(loss):
                raise FloatingPointError(f"loss is {loss} at step {step}; lower the learning rate")
            if step % log_every == 0:
                row = dict(step=step, epoch=step / order.steps_per_epoch, loss=float(np.mean(sums)))
                course.append(row | dict(learning_rate=rates[0] * scale, grad_norm=float(norm)))
                sums = []
            keep(step)
            if is_first():
                if step < until and time.monotonic() - saved >= checkpoint_every:
                    state = dict(model=predictor.model.state_dict(), optimizer=optimizer.state_dict())
                    checkpoints.save(checkpoint, state | dict(step=step, course=course, sums=sums))
                    saved = time.monotonic()
                progress.steps(what, step, until)
    seconds = time.time() - began
    facts = {
        "steps": steps,
        "resumed_at": first or None,
        "inputs": len(inputs),
        "seconds": round(seconds, 1),
        "wordpieces_per_second": round(seen / seconds, 1),
        "processes": processes(),
        "device": str(encoder.device),
    }
    return course, facts


def _scale(step: int, recipe: TuningRecipe, steps: int) -> float:
    """Share of the rate at a step: linear warm-up from zero, linear decay to zero."""
    warmup = round(recipe.warmup * steps)
    return step / warmup if step < warmup else (steps - step) / max(1, steps - warmup)


def backward(
    predictor: Predictor, features: Sequence[dict[str, Any]], trained: list[torch.nn.Parameter]
) -> float:
    """Set the parameters' gradients to those of the mean loss over a batch; returns the loss.

    Each process takes every n-th input. A CPU takes a part of its inputs at a time: less memory, and more
    of it in its caches.
    """
    device = predictor.encoder.device
    rank = int(os.environ.get("RANK", 0))
    own = features[rank :: processes()] or features[:1]
    share = 1.0 if features[rank :: processes()] else 0.0  # a last batch may be too small for all
    length = max(len(feature["ids"]) for feature in own)
    size = max(1, CPU_PIECES // length) if device.type == "cpu" else len(own)
    total = torch.zeros(2, device=device)  # loss, and what it is the mean over
    for start in range(0, len(own), size):
        batch = batches.collate(own[start : start + size], predictor.encoder, multiple=MULTIPLE)
        with precision.autocast(device, predictor.encoder.precision):
            output = predictor.model(**{name: x.to(device) for name, x in batch.items()})
        (share * output["loss"]).backward()
        total += share * torch.stack([output["loss"].detach(), output["count"].to(device)])
    gradients = [p.grad for p in trained if p.grad is not None]
    if processes() > 1:
        distributed.all_reduce(total)
        for gradient in gradients:
            distributed.all_reduce(gradient)
    torch._foreach_div_(gradients, float(total[1]))
    return float(total[0] / total[1])


@contextlib.contextmanager
def _fast(encoder, device: torch.device) -> Iterator[None]:
    """On CPUs, dropout from random bits, and eager attention, whose dropout it can replace."""
    if device.type != "cpu":
        yield
        return
    usual = encoder.config._attn_implementation
    encoder.set_attn_implementation("eager")
    try:
        with BitDropout():
            yield
    finally:
        encoder.set_attn_implementation(usual)


def _write(folder, predictor: Predictor, task: Task, train, evaluation, inputs, course, facts) -> None:
    counts: dict[str, int] = {}
    rows = prediction.predict(predictor, evaluation, counts)
    scores = predictor.task.score(evaluation, rows)
    untrained = json.loads((folder / "untrained.json").read_text())
    report = {
        "scores": scores,
        "baselines": predictor.task.baselines(train, evaluation) | {"untrained": untrained},
        "counts": {"train": inputs.counts, "evaluation": counts},
        "training": facts,
    }
    _write_model(folder, predictor, task)
    _write_json(folder / "scores.json", report)
    _write_lines(folder / "training.jsonl", course)
    _write_lines(folder / "predictions.jsonl", rows)
    (folder / "untrained.json").unlink()
    (folder / CHECKPOINT).unlink(missing_ok=True)


def _write_model(folder: Path, predictor: Predictor, task: Task) -> None:
    """Write what :func:`load` reads."""
    predictor.encoder.model.save_pretrained(folder / "encoder")
    predictor.encoder.tokenizer.save_pretrained(folder / "encoder")
    state = {name: x.detach().cpu().contiguous() for name, x in predictor.model.head.state_dict().items()}
    safetensors.torch.save_file(state, folder / "head.safetensors")
    settings = {
        "model": task.model,
        "labels": predictor.labels,
        "recipe": dataclasses.asdict(task.recipe),
    }
    _write_json(folder / "head.json", settings)


def _write_json(path: Path, value) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _write_lines(path: Path, rows: list[dict]) -> None:
    with open(path, "w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _read_lines(path: Path) -> list[dict]:
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]
