"""Fine-tune an encoder on a task and keep the result in the store.

Optimisation follows google-research/bert: :class:`BertAdam`, gradients clipped to norm 1, linear warm-up
and linear decay to zero. Hugging Face's Trainer runs the loop, so ``torchrun`` spreads it over GPUs and
nodes; ``batch_size`` is that of all processes together.
"""

import contextlib
import dataclasses
import functools
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

from helpers import encoders, progress, store
from helpers.finetuning import batches, prediction, tasks
from helpers.finetuning.batches import Inputs
from helpers.finetuning.blocks import Prefix, above
from helpers.finetuning.prediction import Predictor, TaskModel
from helpers.profiles import Task, TuningRecipe

CLIP = 1.0
LOG_LINES = 100  # of the loss log, at most
CHECKPOINTS = "checkpoints"
COMPLETE = "complete"  # marks a checkpoint that was written to its end


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
        if prefix and prefix.encoder.fingerprint != spec["encoder"]:
            raise ValueError(f"the prefix is one of {prefix.encoder.name}, not of {encoder}")

    def build(folder: Path) -> None:
        freeze = None
        if frozen != -1:
            freeze = functools.partial(above, prefix=prefix or Prefix(encoder, folder), layer=frozen)
        _tune(folder, task, encoder, train, evaluation, seed, freeze, checkpoint_every)

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
    would fill a disk with weights. A run that was killed resumes where it was.
    """
    spec = _spec(task, encoder, train, evaluation, seed) | {"frozen": frozen}

    def build(folder: Path) -> None:
        inner = folder / "run"
        tuned = finetune(
            task, encoder, train, evaluation,
            seed=seed, cache=store.Store(inner), frozen=frozen, prefix=prefix,
        )  # fmt: skip
        if _is_first():  # under torchrun all processes come here
            shutil.copy(tuned.folder / "predictions.jsonl", folder)
            shutil.rmtree(inner)

    return _read_lines(get_together(cache, "ablation", spec, build) / "predictions.jsonl")


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
    if int(os.environ.get("WORLD_SIZE", 1)) == 1:
        return cache.get(kind, spec, build)
    from accelerate import PartialState
    from accelerate.utils import broadcast_object_list

    state = PartialState(cpu=not torch.cuda.is_available())

    def tell(folder: Path | None) -> None:
        broadcast_object_list([folder])

    if state.is_main_process:

        def build_together(folder: Path) -> None:
            tell(folder)
            build(folder)

        folder = cache.get(kind, spec, build_together)
        tell(None)
        return folder
    while (folder := broadcast_object_list([None])[0]) is not None:
        build(folder)
    return cache.path(kind, spec)


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


def _tune(folder, task: Task, encoder, train, evaluation, seed, freeze, checkpoint_every) -> None:
    """Train in ``folder``, going on from a checkpoint there, and fill it."""
    with _contained(seed):
        loaded = encoders.load(encoder)
        if task.recipe.dropout is not None:
            _set_dropout(loaded.model, task.recipe.dropout)
        labels = tasks.get(task.model).labels(train)
        predictor = prediction.untrained(task, loaded, labels, seed)
        if freeze:
            predictor = freeze(predictor)
        # Evaluation records are encoded first too, so that what is wrong with them shows at once.
        before = folder / "untrained.json"
        if not before.exists() and _is_first():
            rows = prediction.predict(predictor, evaluation)
            with store.atomic_write(before) as file:
                json.dump(predictor.task.score(evaluation, rows), file)
        inputs = predictor.encode(train, targets=True)
        if not len(inputs):
            raise ValueError(
                f"none of the {len(train)} training records fits max_length {task.recipe.max_length}"
            )
        what = f"fine-tuning {task.model} on {task.corpus}, seed {seed}"
        course, facts = _train(folder, predictor, inputs, seed, what, checkpoint_every)
        if _is_first():
            _write(folder, predictor, task, train, evaluation, inputs, course, facts)


def _set_dropout(encoder: torch.nn.Module, probability: float) -> None:
    """Have all of an encoder's dropout at this probability, and its configuration say so."""
    for module in encoder.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = probability
    # Also where a configuration has other names for it, as DistilBERT's: heads read the first.
    encoder.config.hidden_dropout_prob = encoder.config.attention_probs_dropout_prob = probability


def _is_first() -> bool:
    return int(os.environ.get("RANK", 0)) == 0


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
    folder: Path, predictor: Predictor, inputs: Inputs, seed: int, what: str, checkpoint_every: float
) -> tuple[list[dict], dict]:
    """Train the predictor's model in place: (rows of the loss log, facts about the run)."""
    import transformers

    recipe, model = predictor.recipe, predictor.model
    processes = int(os.environ.get("WORLD_SIZE", 1))
    if recipe.batch_size % processes:
        raise ValueError(f"batch size {recipe.batch_size} cannot be shared by {processes} processes")
    steps_an_epoch = -(-len(inputs) // recipe.batch_size)
    steps = max(1, round(recipe.epochs * steps_an_epoch))
    cuda = torch.cuda.is_available()
    arguments = transformers.TrainingArguments(
        output_dir=str(folder / CHECKPOINTS),
        max_steps=steps,
        per_device_train_batch_size=recipe.batch_size // processes,
        learning_rate=recipe.learning_rate,
        warmup_steps=round(recipe.warmup * steps),
        max_grad_norm=CLIP,
        bf16=predictor.encoder.precision == "bf16",
        use_cpu=not cuda,
        seed=seed,
        logging_steps=-(-steps // LOG_LINES),
        logging_nan_inf_filter=False,  # a loss that is not finite stops the run instead
        save_strategy="no",  # _Watch decides
        save_total_limit=2,  # while one is written the other is whole
        eval_strategy="no",
        report_to="none",
        disable_tqdm=True,
        log_level="error",
        remove_unused_columns=False,
        dataloader_pin_memory=cuda,
        ddp_find_unused_parameters=not predictor.task.reads_pooled,
    )
    arguments._n_gpu = min(arguments.n_gpu, 1)  # several GPUs are torchrun's business, not DataParallel's
    order = batches.LengthGrouped(inputs.lengths, recipe.batch_size, seed)
    watch = _watch(order, steps_an_epoch, what, checkpoint_every)

    class Trainer(transformers.Trainer):
        def create_optimizer(self, model=None):
            self.optimizer = BertAdam(parameter_groups(predictor.model, recipe), recipe.learning_rate)
            return self.optimizer

        def _get_train_sampler(self, train_dataset=None):
            return order

    trainer = Trainer(
        model=model,
        args=arguments,
        train_dataset=inputs,
        data_collator=lambda features: batches.collate(features, predictor.encoder),
        callbacks=[watch],
    )
    trainer.remove_callback(transformers.PrinterCallback)
    checkpoint = _last_checkpoint(folder / CHECKPOINTS)
    began = time.time()
    first = int(checkpoint.name.split("-")[1]) if checkpoint else 0
    with _fast_attention(predictor.encoder.model, cuda):
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    # Trainer leaves its autocast wrapper on forward.
    trainer.accelerator.unwrap_model(trainer.model_wrapped, keep_fp32_wrapper=False)
    seconds = time.time() - began
    rows = [
        {key: row[key] for key in ("step", "epoch", "loss", "learning_rate", "grad_norm")}
        for row in trainer.state.log_history
        if "loss" in row
    ]
    pieces = int(inputs.lengths.sum() * steps / steps_an_epoch * (steps - first) / steps)
    facts = {
        "steps": steps,
        "resumed_at": first or None,
        "inputs": len(inputs),
        "seconds": round(seconds, 1),
        "wordpieces_per_second": round(pieces / seconds, 1),
        "processes": processes,
        "device": str(arguments.device),
    }
    return rows, facts


@contextlib.contextmanager
def _fast_attention(encoder, cuda: bool):
    """On CPUs, eager attention: with dropout it outruns the fused one, by 5 % (24 pieces) to 30 % (384)."""
    usual = encoder.config._attn_implementation
    if not cuda:
        encoder.set_attn_implementation("eager")
    try:
        yield
    finally:
        encoder.set_attn_implementation(usual)


def _watch(order: batches.LengthGrouped, steps_an_epoch: int, what: str, checkpoint_every: float):
    """Callback that draws each epoch's order, reports progress, asks for checkpoints and guards the loss."""
    import transformers

    class Watch(transformers.TrainerCallback):
        def on_train_begin(self, args, state, control, **_):
            self.saved = time.monotonic()

        def on_epoch_begin(self, args, state, control, **_):
            order.epoch = state.global_step // steps_an_epoch

        def on_step_end(self, args, state, control, **_):
            if state.global_step < state.max_steps:
                control.should_save = self._is_due(args, state)
            if state.is_world_process_zero:
                progress.steps(what, state.global_step, state.max_steps)

        def _is_due(self, args, state) -> bool:
            due = time.monotonic() - self.saved >= checkpoint_every
            if args.world_size > 1:  # the processes' clocks differ, so the first one's counts, now and then
                from accelerate.utils import broadcast_object_list

                if state.global_step % 25:
                    return False
                due = broadcast_object_list([due])[0]
            return due

        def on_save(self, args, state, control, **_):
            self.saved = time.monotonic()
            if state.is_world_process_zero:
                (Path(args.output_dir) / f"checkpoint-{state.global_step}" / COMPLETE).touch()

        def on_log(self, args, state, control, logs=None, **_):
            loss = (logs or {}).get("loss", 0.0)
            if not np.isfinite(loss):
                raise FloatingPointError(
                    f"loss is {loss} at step {state.global_step}; lower the learning rate"
                )

    return Watch()


def _last_checkpoint(folder: Path) -> Path | None:
    """The latest checkpoint that was written to its end."""
    complete = [p.parent for p in folder.glob(f"checkpoint-*/{COMPLETE}")]
    return max(complete, key=lambda p: int(p.name.split("-")[1]), default=None)


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
    predictor.model.eval()
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
    _write_json(folder / "scores.json", report)
    _write_lines(folder / "training.jsonl", course)
    _write_lines(folder / "predictions.jsonl", rows)
    (folder / "untrained.json").unlink()
    shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)


def _write_json(path: Path, value) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _write_lines(path: Path, rows: list[dict]) -> None:
    with open(path, "w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _read_lines(path: Path) -> list[dict]:
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]
