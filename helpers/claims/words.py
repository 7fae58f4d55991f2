"""What pages call tasks, scores and baselines, and lists of names and layers as phrases."""

from collections.abc import Iterable

SCORES = {"las": "LAS", "accuracy": "accuracy", "f1": "F1"}
TASKS = {"Dep": "parsing", "NLI": "inference", "QA": "question answering"}
BASELINES = {
    "untrained": "an untrained head",
    "majority": "the most frequent answer",
    "hypothesis_only": "a classifier that reads only the hypothesis",
    "question_blind": "a reader that never sees the question",
    "bag_of_words": "a classifier of the words alone",
    "overlap": "a classifier of the words that the two sentences share",
    "question_window": "a reader that matches the question's words",
    "longest_name": "the longest name of the passage",
    "next_word": "attaching each word to the next",
    "previous_word": "attaching each word to the one before",
}


def listed(names: Iterable[str]) -> str:
    """Names as a phrase: A; A and B; A, B and C."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def with_verb(n: int, one: str, many: str) -> str:
    """A number with its verb: none is; 1 is; 2 are."""
    return f"{n or 'none'} {one if n <= 1 else many}"


def ranges(layers: list[int]) -> str:
    """Ascending layers in words, runs of them by their ends: layers 0 to 3 and 5."""
    runs: list[list[int]] = []
    for layer in layers:
        if runs and layer == runs[-1][-1] + 1:
            runs[-1].append(layer)
        else:
            runs.append([layer])
    texts = [" and ".join(map(str, run)) if len(run) < 3 else f"{run[0]} to {run[-1]}" for run in runs]
    return f"layer{'s' if len(layers) > 1 else ''} {listed(texts)}"
