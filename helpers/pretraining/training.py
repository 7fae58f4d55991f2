"""The pre-training run: model, objectives, optimisers, checkpoints, log.

On a GPU, for a billion wordpieces per seed (steps of 65,536, so that the device has something to do)::

    python -m helpers pretrain CORPUS --out pretraining/seed0 --device cuda \\
        --set seed=0 --set tokens=1e9 --set batch_tokens=65536

Run the same line again after an interruption: it goes on from ``checkpoint.pt``. Before a long run,
``--set tokens=2e7`` into another folder shows its speed within a minute. The encoded corpus lies in the
store (``artifacts/encoded-text``, two bytes per wordpiece): copying ``artifacts/`` along with the text files
to another machine spares encoding them again there.
"""

import dataclasses
import json
import math
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional as F

from helpers import checkpoints, encoders, precision, progress, store
from helpers.pretraining import models, text
from helpers.pretraining.batches import IGNORED, Batches
from helpers.pretraining.recipe import Recipe, continued, replaced

CHECKPOINT = "checkpoint.pt"
JUDGED_LENGTH = 128  # wordpieces of a held-out input
CPU_TOKENS = 4096  # wordpieces that a CPU takes at once: more leave its caches
SHAPE = {"vocabulary", "layers", "hidden", "heads", "intermediate", "positions"}  # of a model
COMPILED_FROM = 5_000_000  # wordpieces of a run: compiling takes a minute or two


def losses(model: Any, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Both objectives on a batch, summed: ``mlm`` and, of pairs, ``nsp`` (cross-entropy in nats).

    ``mlm_right`` and ``nsp_right`` count correct guesses. Vocabulary scores are computed at the masked
    positions alone.
    """
    names = ["input_ids", "attention_mask"]
    if getattr(model.config, "type_vocab_size", 0) > 1:  # MPNet has no segments
        names.append("token_type_ids")
    output = model.base_model(**{name: batch[name] for name in names})
    states = output.last_hidden_state
    rows = torch.arange(len(states), device=states.device)[:, None]
    scores = models.vocabulary_head(model)(states[rows, batch["masked"]]).float().flatten(0, 1)
    labels = batch["labels"].flatten()
    found = {
        "mlm": F.cross_entropy(scores, labels, ignore_index=IGNORED, reduction="sum"),
        "mlm_right": (scores.argmax(-1) == labels).sum(),
    }
    if "is_random" in batch:
        follows = model.cls.seq_relationship(output.pooler_output).float()
        found["nsp"] = F.cross_entropy(follows, batch["is_random"], reduction="sum")
        found["nsp_right"] = (follows.argmax(-1) == batch["is_random"]).sum()
    return found


def means(sums: dict[str, float]) -> dict[str, float]:
    """Mean losses and accuracies (``mlm, mlm_accuracy`` and of pairs ``nsp, nsp_accuracy``) from sums."""
    found = {}
    for name, count in (("mlm", "n_masked"), ("nsp", "n_pairs")):
        if sums.get(count):
            found[name] = float(sums[name]) / sums[count]
            found[f"{name}_accuracy"] = float(sums[f"{name}_right"]) / sums[count]
    return found


def _counts(batch: dict[str, torch.Tensor]) -> dict[str, int]:
    pairs = len(batch["is_random"]) if "is_random" in batch else 0
    return {"n_masked": int((batch["labels"] != IGNORED).sum()), "n_pairs": pairs}


def evaluate(model: Any, batches: Batches, device: torch.device, n_batches: int = 32) -> dict[str, float]:
    """Held-out :func:`means` over the first batches of a held-out corpus."""
    model.eval()
    sums: dict[str, float] = {}
    with torch.inference_mode(), precision.autocast(device):
        for step in range(n_batches):
            batch = batches[step]
            _add(sums, losses(model, _to(batch, device)) | _counts(batch))
    model.train()
    return means(sums)


def judged(heldout: text.EncodedCorpus, tokenizer: Any, recipe: Recipe) -> dict[str, Batches]:
    """The held-out batches that all runs are evaluated on, whatever their recipe, by objective.

    ``mlm``: single segments of 128 wordpieces, pieces masked one by one, 15 % of them; ``whole_words``: the
    same, whole words masked; ``nsp``: pairs of segments.
    """
    length = min(JUDGED_LENGTH, recipe.positions)
    settings: dict[str, Any] = dict(
        seed=10_000, short_length=length, long_share=0.0, batch_tokens=2048, tokens=10**9
    )
    single = dataclasses.replace(recipe, **settings, masked=0.15, next_sentence=0.0)
    pairs = dataclasses.replace(single, next_sentence=1.0)
    return {
        "mlm": Batches(heldout, tokenizer, single, whole_words=False),
        "whole_words": Batches(heldout, tokenizer, single),
        "nsp": Batches(heldout, tokenizer, pairs, whole_words=False),
    }


def _to(batch: dict[str, torch.Tensor], device: torch.device) -> dict[str, torch.Tensor]:
    return {k: v.to(device, non_blocking=True) for k, v in batch.items()}


def _add(sums: dict, parts: dict) -> None:
    for name, value in parts.items():
        value = value.detach() if torch.is_tensor(value) else value
        sums[name] = sums[name] + value if name in sums else value


def optimizers(model: Any, recipe: Recipe) -> dict[str, torch.optim.Optimizer]:
    """The run's optimisers by name: AdamW and, unless the recipe has AdamW train everything, Muon.

    Muon (Jordan et al. 2024), scaled so that AdamW's rate suits it (Liu et al. 2025), trains the matrices of
    the blocks. Weights decay but for biases, norms and the embeddings of positions and segments, most of
    which wait for the long inputs and the pairs at the end.
    """
    muon, decayed, plain = [], [], []
    for name, parameter in model.named_parameters():
        waits = "position_embeddings" in name or "token_type_embeddings" in name
        if parameter.ndim < 2 or waits:
            plain.append(parameter)
        elif ".layer." in name and recipe.optimizer == "muon":
            muon.append(parameter)
        else:
            decayed.append(parameter)
    groups = [
        {"params": decayed, "weight_decay": recipe.weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    rate = recipe.learning_rate
    found: dict[str, torch.optim.Optimizer] = {
        "adamw": torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98), eps=1e-6, fused=True)
    }
    if muon:
        found["muon"] = torch.optim.Muon(
            muon, lr=rate, weight_decay=recipe.weight_decay, adjust_lr_fn="match_rms_adamw"
        )
    return found


class Interrupted(RuntimeError):
    """Training stopped before its last step; the checkpoint resumes it."""


def pretrain(
    recipe: Recipe,
    folder: str | Path,
    tokenizer: Any,
    corpus: text.EncodedCorpus,
    heldout: text.EncodedCorpus,
    *,
    device: str = "auto",
    checkpoint_every: float = 180.0,
    log_every: int = 100,
    n_evaluations: int = 12,
    stop: Callable[[int], bool] | None = None,
    compile_model: bool = False,
) -> Path:
    """Train, or go on training, in ``folder``; returns the folder of the finished model.

    ``folder`` receives ``checkpoint.pt`` (weights, optimisers, step) every ``checkpoint_every`` seconds,
    ``log.jsonl`` (see :func:`read_log`; a line every ``log_every`` steps), ``tokenizer/`` and at the end
    ``model/``. A run that finds a checkpoint goes on from it, with the same result as if it had not been
    stopped. Before decay, long inputs and pairs the recipe may then differ in ``tokens``, ``decay``,
    ``long_share`` and ``next_sentence``. Raises ValueError for any other change, FloatingPointError if the
    loss becomes NaN or infinite, and :class:`Interrupted`, after saving, when ``stop(n)`` says so, n being
    the steps done in this call.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    where = precision.device(device)
    model = models.make(recipe, tokenizer).to(where)
    if where.type == "cpu":  # the fused kernel's bf16 backward pass is the slower one there
        model.set_attn_implementation("eager")
    optimizing = optimizers(model, recipe)
    # What is summed since the last line of the log is kept too, or that line would be wrong after a stop.
    step, tokens, seconds = 0, 0, 0.0
    pending: dict[str, Any] = {"tokens": 0, "seconds": 0.0, "sums": {}}
    checkpoint = folder / CHECKPOINT
    if checkpoint.exists():
        state = checkpoints.read(checkpoint, where)
        _check_same_run(Recipe(**state["recipe"]), recipe, state["step"], checkpoint)
        model.load_state_dict(state["model"])
        for name, optimizer in optimizing.items():
            optimizer.load_state_dict(state["optimizers"][name])
        step, tokens, seconds, pending = (state[k] for k in ("step", "tokens", "seconds", "pending"))
    if not (folder / "tokenizer").is_dir():
        tokenizer.save_pretrained(folder / "tokenizer")
    _drop_log_after(folder / "log.jsonl", step)
    known = read_log(folder)
    evaluated = {row["step"] for row in known if "heldout" in row}
    for name, value in (("machine", _machine(where)), ("recipe", dataclasses.asdict(recipe))):
        if [row[name] for row in known if name in row][-1:] != [value]:
            _log(folder, {"step": step, name: value})

    def save() -> None:
        state = {"recipe": dataclasses.asdict(recipe), "model": model.state_dict()}
        state["optimizers"] = {name: optimizer.state_dict() for name, optimizer in optimizing.items()}
        state |= dict(step=step, tokens=tokens, seconds=seconds, pending=pending)
        checkpoints.save(checkpoint, state)

    def hold_out() -> None:
        if step not in evaluated:
            held = evaluate(model, judges["mlm"], where)
            if recipe.paired(step - 1):
                pairs = evaluate(model, judges["nsp"], where)
                held |= {name: pairs[name] for name in ("nsp", "nsp_accuracy")}
            _log(folder, {"step": step, "tokens": tokens, "heldout": held})
            progress.say(f"step {step}: held-out MLM loss {held['mlm']:.3f}")

    # Shapes never change within a phase, so compiled code is made once for each.
    objective = torch.compile(losses, dynamic=False) if compile_model else losses
    at_once = CPU_TOKENS if where.type == "cpu" else recipe.batch_tokens
    loader = torch.utils.data.DataLoader(
        Batches(corpus, tokenizer, recipe),
        batch_size=None,
        sampler=range(step, recipe.steps),
        num_workers=min(8, os.cpu_count() or 1) if where.type == "cuda" else 0,
        pin_memory=where.type == "cuda",
    )
    judges = judged(heldout, tokenizer, recipe)
    milestones = {round(recipe.steps * (i / n_evaluations) ** 2) for i in range(n_evaluations)}
    began = saved = window = time.time()
    first = step
    model.train()
    for batch in loader:
        if step in milestones:
            hold_out()
        for optimizer in optimizing.values():
            for group in optimizer.param_groups:
                group["lr"] = recipe.rate(step)
        n_tokens = int(batch["attention_mask"].sum())
        _add(pending["sums"], backward(model, batch, where, at_once, objective))
        torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
        for optimizer in optimizing.values():
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        step += 1
        tokens += n_tokens
        pending["tokens"] += n_tokens
        stopping = stop is not None and step < recipe.steps and stop(step - first)
        logging = step % log_every == 0 or step == recipe.steps
        if logging or stopping:
            now_means = means(pending["sums"])  # waits for the device
            if not math.isfinite(now_means["mlm"]):
                raise FloatingPointError(
                    f"loss is {now_means['mlm']} at step {step}; lower the learning rate"
                )
            now = time.time()
            pending["seconds"] += now - window
            seconds += now - window
            window = now
        if logging:
            speed = pending["tokens"] / pending["seconds"]
            row = {"step": step, "tokens": tokens, "seconds": seconds, **now_means}
            _log(folder, row | {"tokens_per_s": speed})
            left = (recipe.steps - step) * recipe.batch_tokens / speed
            shown = [f"{name.upper()} {now_means[name]:.3f}" for name in ("mlm", "nsp") if name in now_means]
            progress.say(
                f"step {step}/{recipe.steps}  {'  '.join(shown)}  "
                f"{speed:,.0f} tokens/s{_peak_share(model, recipe, speed, where)}  {left / 60:.0f} min left"
            )
            pending = {"tokens": 0, "seconds": 0.0, "sums": {}}
            if now - saved > checkpoint_every:
                save()
                saved = now
        if stopping:
            save()
            raise Interrupted(f"{folder}: stopped at step {step} of {recipe.steps}")
    if first < recipe.steps:
        save()
    hold_out()
    progress.say(f"finished after {time.time() - began:.0f} s here")
    return models.save(model, tokenizer, folder / "model")


def backward(
    model: Any, batch: dict[str, torch.Tensor], device: torch.device, at_once: int, objective: Any = losses
) -> dict:
    """Add a batch's gradient to the parameters', a part of ``at_once`` wordpieces at a time.

    The gradient is that of the mean losses of the whole batch. Returns the sums of :func:`losses` and their
    counts.
    """
    counts: dict = _counts(batch)
    sums = dict(counts)
    rows, length = batch["input_ids"].shape
    size = max(1, at_once // length)
    for start in range(0, rows, size):
        part = {name: value[start : start + size] for name, value in batch.items()}
        with precision.autocast(device):
            parts = objective(model, _to(part, device))
            loss = parts["mlm"] / counts["n_masked"]
            if "nsp" in parts:
                loss = loss + parts["nsp"] / counts["n_pairs"]
        loss.backward()
        _add(sums, parts)
    return sums


def _machine(device: torch.device) -> str:
    kind = precision.fastest(device)
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, {kind}, torch {torch.__version__}"
    threads = torch.get_num_threads()
    return (
        f"{precision.processor()}, {threads} thread{'s' * (threads != 1)}, {kind}, torch {torch.__version__}"
    )


def _check_same_run(old: Recipe, new: Recipe, step: int, path: Path) -> None:
    free = ("tokens", "decay", "long_share", "next_sentence")
    changed = [f.name for f in dataclasses.fields(old) if getattr(old, f.name) != getattr(new, f.name)]
    if bound := [name for name in changed if name not in free]:
        raise ValueError(f"{path}: was trained with other settings ({', '.join(bound)})")
    if changed and not (old.steady(step) and new.steady(step)):
        raise ValueError(
            f"{path}: at step {step} the schedule has, or would have, reached its decay, long inputs or "
            f"pairs; {', '.join(changed)} can only be changed before that"
        )


def read_log(folder: str | Path) -> list[dict]:
    """Rows of a run's ``log.jsonl``, each with ``step`` and of one of four kinds.

    Training: ``tokens`` and ``seconds`` in all, :func:`means` since the row before, ``tokens_per_s``. Held
    out: ``tokens`` and ``heldout``, the same means. ``machine`` and ``recipe``: what the steps from here on
    ran on, and by. A last line cut short is left out.
    """
    path = Path(folder) / "log.jsonl"
    lines = path.read_text(encoding="utf-8").split("\n") if path.exists() else []
    return [json.loads(line) for line in lines[:-1]]  # what follows the last line end is incomplete


def _drop_log_after(path: Path, step: int) -> None:
    """Forget what was logged after the checkpoint that a run resumes from."""
    if path.exists():
        rows = [row for row in read_log(path.parent) if row["step"] <= step]
        with store.atomic_write(path) as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)


def _log(folder: Path, row: dict) -> None:
    with open(folder / "log.jsonl", "a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def _peak_share(model, recipe: Recipe, speed: float, device: torch.device) -> str:
    """Share of an H100/H200's dense bf16 peak (989 TFLOP/s), by the 6 x parameters rule."""
    if device.type != "cuda" or torch.cuda.get_device_capability(device)[0] != 9:
        return ""
    blocks = sum(p.numel() for p in model.base_model.encoder.parameters())
    head = recipe.masked * sum(p.numel() for p in models.vocabulary_head(model).parameters())
    return f" ({6 * (blocks + head) * speed / 989e12:.1%} of peak)"


def run(
    corpus: str | Path,
    out: str | Path,
    settings: dict,
    *,
    heldout: str = "heldout*",
    device: str = "auto",
    cache: store.Store | None = None,
) -> Path:
    """Pre-train on a corpus with some of the recipe's ``settings`` replaced; returns the model's folder.

    ``corpus`` is a folder of ``.txt`` or ``.txt.xz`` files (see :func:`documents`), of which those matching
    the pattern ``heldout`` are held out, or a Hugging Face text data set, ``NAME`` or ``NAME:CONFIG`` or a
    local folder of its files, of which one document in 200 is. ``vocabulary`` may also be the folder of a
    tokenizer. With ``start``, the other settings begin as those of
    :func:`~helpers.pretraining.recipe.continued`. Where ``out`` holds a checkpoint, settings not given are
    those it was made with.

    Raises ValueError for an unknown setting or value, listing the valid ones, EncoderError for a ``start``
    that cannot be trained on, and FileNotFoundError where there is no text. When interrupted (SIGINT,
    SIGTERM) it saves a checkpoint and raises SystemExit.
    """
    out = Path(out)
    settings = dict(settings)
    device_type = precision.device(device).type
    pieces = settings.pop("vocabulary", None)
    if isinstance(pieces, (int, float)):
        settings["vocabulary"], pieces = pieces, None
    start = str(settings.get("start", ""))
    base = continued(start) if start else Recipe()
    if (out / CHECKPOINT).exists():
        base = Recipe(**checkpoints.read(out / CHECKPOINT, "cpu")["recipe"])
    elif start:
        if pieces is not None or (fixed := SHAPE & set(settings)):
            given = "vocabulary" if pieces is not None else ", ".join(sorted(fixed))
            raise ValueError(f"{given}: a model continued from {start} keeps its vocabulary and shape")
        base, pieces = models.described(base), encoders.resolve(start)
    recipe = replaced(base, settings)
    begun = out / "tokenizer" if (out / CHECKPOINT).exists() else None
    vocabulary: int | str | Path = recipe.vocabulary if pieces is None else pieces
    if begun and pieces is None and "vocabulary" not in settings:
        vocabulary = begun
    cache = cache or store.Store()
    files, held = text.training_files(corpus, heldout, cache)
    progress.say(f"{len(files)} text files; preparing vocabulary and text (minutes the first time)")
    tokenizer, train, test = text.prepare(files, held, vocabulary, cache)
    if begun and (
        tokenizer.get_vocab() != type(tokenizer).from_pretrained(begun, trust_remote_code=False).get_vocab()
    ):
        raise ValueError(f"{out}: was begun with another vocabulary, which is in {begun}")
    if pieces is not None:
        recipe = dataclasses.replace(recipe, vocabulary=len(tokenizer))
    progress.say(
        f"{len(train.tokens):,} wordpieces in {train.n_documents:,} documents, {len(test.tokens):,} held "
        f"out; {recipe.tokens / len(train.tokens):.2f} passes in {recipe.steps:,} steps"
    )
    asked: list[int] = []  # signals to stop; the step under way is finished first
    before = {s: signal.signal(s, lambda s, _: asked.append(s)) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        able = device_type != "cpu" or shutil.which("g++") is not None
        compiles = able and recipe.tokens >= COMPILED_FROM
        options: dict[str, Any] = dict(device=device, stop=lambda done: bool(asked), compile_model=compiles)
        return pretrain(recipe, out, tokenizer, train, test, **options)
    except Interrupted as stopped:
        progress.say(f"{stopped}; the same command goes on from there")
        raise SystemExit(128 + asked[0]) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
