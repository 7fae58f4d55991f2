"""Apply a fine-tuned model, or an untrained one, to records, and score what it predicts."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from helpers import encoders, precision
from helpers.finetuning import data, heads, metrics, trees
from helpers.profiles import Task, TuningRecipe

BATCH_PIECES = 4096
N_BEST = 20  # starts and ends considered in a window, as in google-research/bert's run_squad
MAX_ANSWER = 30  # wordpieces
NO_HEAD = -1  # of words beyond the length limit, which have no predicted head


@dataclass(frozen=True)
class Predictor:
    """A task model with all that applying it takes. ``kind`` is Dep, NLI or QA.

    ``below``, where the model is only the blocks above a frozen bottom, adds that bottom's states to inputs.
    """

    kind: str
    model: heads.TaskModel
    encoder: encoders.Encoder
    labels: tuple[str, ...]
    recipe: TuningRecipe
    below: Callable[[data.Inputs], data.Inputs] | None = None


def untrained(task: Task, encoder: encoders.Encoder, labels: tuple[str, ...], seed: int) -> Predictor:
    """The encoder as it is under a freshly drawn head. The model shares the encoder's weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = heads.build(task.model, encoder.model, labels).to(encoder.device)
    return Predictor(task.model, heads.TaskModel(encoder.model, head), encoder, labels, task.recipe)


def predict(predictor: Predictor, records: Sequence, counts: dict | None = None) -> list[dict]:
    """Predictions for records, in order: one JSON-able row each, with the record's ``id`` and

    - NLI: ``label`` and ``probabilities``, in the order of the predictor's labels;
    - QA: ``answer``, its first character's position ``start`` (None if no span could be chosen), ``score``;
    - Dep: ``heads`` and ``deprels``, a tree with one root; words beyond the recipe's ``max_length`` have
      the head -1 and the relation ``_``, and no tree hangs on them.

    ``counts``, if given, receives how many records were cut or windowed.
    """
    inputs = data.encode(
        predictor.kind, records, predictor.encoder, predictor.recipe, predictor.labels, targets=False
    )
    if counts is not None:
        counts.update(inputs.counts)
    if predictor.below:
        inputs = predictor.below(inputs)
    decode = {"Dep": _trees, "NLI": _labels, "QA": _spans}[predictor.kind]
    found: list = [None] * len(inputs)
    predictor.model.eval()
    device = predictor.encoder.device
    pad = predictor.encoder.tokenizer.pad_token_id or 0
    with torch.inference_mode(), precision.autocast(device, predictor.encoder.precision):
        for chosen in batches(inputs.lengths):
            batch = data.collate([inputs[i] for i in chosen], pad)
            output = predictor.model(**{name: x.to(device) for name, x in batch.items()})
            windows = [inputs.windows[i] for i in chosen] if inputs.windows else None
            decoded = decode(predictor, output, batch, windows)
            for i, one in zip(chosen, decoded, strict=True):
                found[i] = one
    return _rows(predictor.kind, records, inputs, found)


def batches(lengths: np.ndarray) -> list[list[int]]:
    """Numbers of inputs in batches of at most ``BATCH_PIECES`` wordpieces, longest inputs first."""
    order = np.argsort(-lengths, kind="stable").tolist()
    batches = []
    while order:
        size = max(1, BATCH_PIECES // int(lengths[order[0]]))
        batches.append(order[:size])
        order = order[size:]
    return batches


def _labels(predictor, output, batch, windows) -> list[dict]:
    shares = output["logits"].softmax(-1).cpu().numpy()
    return [
        {"label": predictor.labels[int(row.argmax())], "probabilities": [round(float(x), 6) for x in row]}
        for row in shares
    ]


def _spans(predictor, output, batch, windows) -> list[dict | None]:
    starts, ends = output["start_logits"].cpu().numpy(), output["end_logits"].cpu().numpy()
    return [best_span(s, e, window) for s, e, window in zip(starts, ends, windows, strict=True)]


def best_span(starts: np.ndarray, ends: np.ndarray, window: data.Window) -> dict | None:
    """Best answer in a window by run_squad's rule for v1.1, or None if no two logits make a span.

    Among the ``N_BEST`` highest start and end logits (n_pieces,) of the whole input, the pair of highest
    sum whose pieces lie in the context, in order, at most ``MAX_ANSWER`` apart, and whose first piece no
    other window shows with more context. Returns ``start``, ``end`` (characters) and ``score``.
    """
    best = None
    n = len(window.spans)
    for first in np.argsort(-starts, kind="stable")[:N_BEST] - window.first:
        if not (0 <= first < n and window.best[first]):
            continue
        for last in np.argsort(-ends, kind="stable")[:N_BEST] - window.first:
            if not first <= last < min(n, first + MAX_ANSWER):
                continue
            score = float(starts[first + window.first] + ends[last + window.first])
            if best is None or score > best["score"]:
                start, end = int(window.spans[first, 0]), int(window.spans[last, 1])
                best = {"start": start, "end": end, "score": score}
    return best


def _trees(predictor, output, batch, windows) -> list[dict]:
    device = output["arcs"].device
    arcs = output["arcs"].cpu().numpy()
    sizes = batch["words"].sum(1).tolist()
    chosen = torch.zeros(arcs.shape[:2], dtype=torch.int64)
    for row, n in enumerate(sizes):
        scores = arcs[row, :n, : n + 1]
        np.fill_diagonal(scores[:, 1:], 0.0)  # a word's own place is -inf there, and ignored
        chosen[row, :n] = torch.from_numpy(trees.decode(scores))
    found = predictor.model.head.relation_scores(output["dependents"], output["governors"], chosen.to(device))
    if "root" in predictor.labels:
        # In Universal Dependencies the root's child, and nothing else, bears the relation root.
        is_root = torch.tensor([label == "root" for label in predictor.labels], device=device)
        found = found.masked_fill(is_root != (chosen == 0).to(device)[..., None], float("-inf"))
    relations = found.argmax(-1).tolist()
    return [
        {
            "heads": chosen[row, :n].tolist(),
            "deprels": [predictor.labels[x] for x in relations[row][:n]],
        }
        for row, n in enumerate(sizes)
    ]


def _rows(kind: str, records, inputs: data.Inputs, found: list) -> list[dict]:
    if kind == "NLI":
        return [{"id": pair.id} | one for pair, one in zip(records, found, strict=True)]
    if kind == "Dep":
        rows = [{"id": s.id, "heads": [], "deprels": []} for s in records]
        for r, one in zip(inputs.record, found, strict=True):
            rows[r] |= one
        for row, sentence in zip(rows, records, strict=True):
            rest = len(sentence.words) - len(row["heads"])
            row["heads"] += [NO_HEAD] * rest
            row["deprels"] += ["_"] * rest
        return rows
    best: list = [None] * len(records)
    for r, one in zip(inputs.record, found, strict=True):
        if one is not None and (best[r] is None or one["score"] > best[r]["score"]):
            best[r] = one
    rows = []
    for question, one in zip(records, best, strict=True):
        answer = {"answer": "", "start": None, "score": None}
        if one is not None:
            text = question.context[one["start"] : one["end"]]
            answer = {"answer": text, "start": one["start"], "score": round(one["score"], 4)}
        rows.append({"id": question.id} | answer)
    return rows


# -- scores ----------------------------------------------------------------------------------------


def score(kind: str, records: Sequence, rows: list[dict]) -> dict[str, float]:
    """Scores of predictions, the task's headline score first, all fractions of 1.

    NLI: ``accuracy``. QA: ``f1``, ``exact_match``. Dep: ``las``, ``uas`` (punctuation counted, subtypes
    not: the shared task's rules), ``las_no_punctuation``, ``uas_no_punctuation``, ``las_subtypes``. Adds to
    each row what a bootstrap over records needs: ``correct`` and ``total`` for the headline score (for QA
    the question's F1 and 1), and beside them ``exact_match`` (QA) or ``correct_heads`` (Dep).
    """
    if kind == "NLI":
        for pair, row in zip(records, rows, strict=True):
            row |= {"gold": pair.label, "correct": int(row["label"] == pair.label), "total": 1}
        return {"accuracy": metrics.accuracy([p.label for p in records], [r["label"] for r in rows])}
    if kind == "QA":
        for question, row in zip(records, rows, strict=True):
            answers = [answer.text for answer in question.answers]
            exact, f1 = metrics.answer_scores(answers, row["answer"], question.id)
            row |= {"gold": answers, "correct": f1, "total": 1, "exact_match": exact}
        return {
            "f1": sum(row["correct"] for row in rows) / len(rows),
            "exact_match": sum(row["exact_match"] for row in rows) / len(rows),
        }
    parses = [(row["heads"], row["deprels"]) for row in rows]
    for sentence, row, parse in zip(records, rows, parses, strict=True):
        counts = metrics.attachment_counts(sentence, parse)
        row |= dict(zip(("correct_heads", "correct", "total"), counts, strict=True))
    scores = metrics.attachment_scores(records, parses)
    found = {"las": scores["las"], "uas": scores["uas"]}
    if all(len(sentence.upos) == len(sentence.words) for sentence in records):
        bare = metrics.attachment_scores(records, parses, punctuation=False)
        found |= {"las_no_punctuation": bare["las"], "uas_no_punctuation": bare["uas"]}
    found["las_subtypes"] = metrics.attachment_scores(records, parses, subtypes=True)["las"]
    return found


def baselines(kind: str, train: Sequence, evaluation: Sequence) -> dict[str, dict[str, float]]:
    """Scores of rules that read no text, by name.

    NLI: ``majority``, the most frequent label in training. Dep: ``previous_word`` and ``next_word``, each
    word hung on its neighbour with the most frequent relation in training. QA has none.
    """
    if kind == "NLI":
        label = _most_frequent(pair.label for pair in train)
        return {"majority": score(kind, evaluation, [{"label": label} for _ in evaluation])}
    if kind == "Dep":
        relation = _most_frequent(x for sentence in train for x in sentence.deprels if x != "root")
        found = {}
        for name in ("previous_word", "next_word"):
            rows = []
            for sentence in evaluation:
                n = len(sentence.words)
                chain = list(range(n)) if name == "previous_word" else [*range(2, n + 1), 0]
                rows.append({"heads": chain, "deprels": ["root" if h == 0 else relation for h in chain]})
            found[name] = score(kind, evaluation, rows)
        return found
    return {}


def _most_frequent(values) -> str:
    counts = Counter(values)
    if not counts:
        return "root"  # only one-word sentences
    return min(counts, key=lambda value: (-counts[value], value))
