"""The package's fine-tuning loop beside Hugging Face's Trainer on the same batches, in one run.

    pip install -r tests/benchmarks/requirements.txt
    python tests/benchmarks/finetuning.py UD-EWT MNLI SQUAD [records]

The arguments are the folders of the corpora. For each task MiniBERT is tuned on the first records by either
loop in turn, three times, without dropout, each time in a process of its own, whose peak memory is shown too.
Both see the same inputs in the same order, so their losses agree within rounding. Trainer pads each batch to
its longest input and takes it at once. Exits with an error if the package's loop is not 1.5 times as fast
over all tasks, or holds more than 3 GB.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time

import torch

from helpers import corpora, encoders
from helpers.finetuning import batches, prediction, tasks, training
from helpers.profiles import Task, TuningRecipe

BOUND, MEMORY = 1.5, 3.0  # GB
COMMON = dict(batch_size=16, learning_rate=1e-4, dropout=0.0)
TASKS = {
    "Dep": Task("Dep", "ud-ewt", TuningRecipe(max_length=256, **COMMON)),
    "NLI": Task("NLI", "mnli-reduced", TuningRecipe(max_length=128, **COMMON)),
    "QA": Task("QA", "squad-reduced", TuningRecipe(max_length=384, **COMMON)),
}


def one(loop: str, kind: str, folder: str, records: int) -> dict[str, float]:
    """Seconds of training, its last loss, and peak memory in GB."""
    task = TASKS[kind]
    train = corpora.load(task.corpus, "train", path=folder, limit=records)
    encoder = encoders.load("minibert", device="cpu")
    training._set_dropout(encoder.model, 0.0)
    encoder.model.set_attn_implementation("eager")
    torch.manual_seed(0)
    predictor = prediction.untrained(task, encoder, tasks.get(kind).labels(train), 0)
    for module in predictor.model.modules():  # the parser has dropout of its own
        if isinstance(getattr(module, "dropout", None), float):
            module.dropout = 0.0
    inputs = predictor.encode(train, targets=True)
    order = batches.Order(inputs.lengths, task.recipe.batch_size, 0)
    steps = order.steps_per_epoch
    optimizer = training.BertAdam(training.parameter_groups(predictor.model, task.recipe), 1e-4)
    began = time.perf_counter()
    loss = (_package if loop == "package" else _trainer)(predictor, inputs, order, optimizer, steps)
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return dict(seconds=seconds, loss=loss, memory=peak)


def _package(predictor, inputs, order, optimizer, steps: int) -> float:
    trained = [p for group in optimizer.param_groups for p in group["params"]]
    predictor.model.train()
    for step in range(steps):
        loss = training.backward(predictor, [inputs[i] for i in order.at(step)], trained)
        torch.nn.utils.clip_grad_norm_(trained, training.CLIP)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return loss


def _trainer(predictor, inputs, order, optimizer, steps: int) -> float:
    import tempfile

    import transformers

    class MeanLoss(torch.nn.Module):
        """Trainer wants a mean where heads give a sum and its count."""

        accepts_loss_kwargs = False

        def __init__(self, model):
            super().__init__()
            self.model = model

        def forward(self, **batch):
            output = self.model(**batch)
            return {"loss": output["loss"] / output["count"]}

    class Trainer(transformers.Trainer):
        def _get_train_sampler(self, train_dataset=None):
            return [i for step in range(steps) for i in order.at(step).tolist()]

    with tempfile.TemporaryDirectory() as folder:
        arguments = transformers.TrainingArguments(
            folder,
            max_steps=steps,
            per_device_train_batch_size=order.batch_size,
            max_grad_norm=training.CLIP,
            bf16=predictor.encoder.precision == "bf16",
            use_cpu=True,
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            remove_unused_columns=False,
            lr_scheduler_type="constant",
        )
        trainer = Trainer(
            model=MeanLoss(predictor.model),
            args=arguments,
            train_dataset=inputs,
            data_collator=lambda features: batches.collate(features, predictor.encoder),
            optimizers=(optimizer, None),
        )
        trainer.remove_callback(transformers.PrinterCallback)
        trainer.train()
    return [row["loss"] for row in trainer.state.log_history if "loss" in row][-1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("ud_ewt", "mnli", "squad"):
        parser.add_argument(name, help="folder of the corpus")
    parser.add_argument("records", type=int, nargs="?", default=400)
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        loop, kind, folder = arguments.one
        print(json.dumps(one(loop, kind, folder, arguments.records)))
        return
    totals, largest = {"package": 0.0, "Trainer": 0.0}, 0.0
    folders = (arguments.ud_ewt, arguments.mnli, arguments.squad)
    for kind, folder in zip(TASKS, folders, strict=True):
        seconds: dict[str, list[float]] = {"package": [], "Trainer": []}
        for _ in range(3):
            for loop in seconds:
                command = [
                    sys.executable,
                    __file__,
                    *folders,
                    str(arguments.records),
                    "--one",
                    loop,
                    kind,
                    folder,
                ]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                row = json.loads(done.stdout.splitlines()[-1])
                seconds[loop].append(row["seconds"])
                seen = f"{row['seconds']:6.1f} s  loss {row['loss']:.4f}  {row['memory']:.2f} GB"
                print(f"{kind:<4} {loop:<8} {seen}", flush=True)
                if loop == "package":
                    largest = max(largest, row["memory"])
        medians = {loop: statistics.median(values) for loop, values in seconds.items()}
        print(f"{kind:<4} {medians['Trainer'] / medians['package']:.2f} times as fast")
        for loop, median in medians.items():
            totals[loop] += median
    ratio = totals["Trainer"] / totals["package"]
    print(f"all tasks: {ratio:.2f} times as fast (bound {BOUND}); at most {largest:.2f} GB (bound {MEMORY})")
    sys.exit("too slow or too large" if ratio < BOUND or largest > MEMORY else None)


if __name__ == "__main__":
    main()
