"""Three tasks made from Universal Decompositional Semantics (:mod:`helpers.corpora.uds`).

``uds-dep`` is its sentences with their UD v1 trees; the pairs of ``uds-nli`` are worded by
:mod:`~helpers.corpora.recast.inference`, the questions of ``uds-qa`` by
:mod:`~helpers.corpora.recast.questions`. All are split by document, as UDS itself is, and depend on its
wheel alone: what is random is decided by hashes of identifiers.
"""

import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path

from helpers.corpora import uds
from helpers.corpora.recast import inference, questions
from helpers.corpora.records import Answer, Pair, Question, Sentence
from helpers.store import Store
from helpers.validation import unknown

SCHEMA = 2  # raise when a recast task changes


def dep(split: str, *, wheel: str | Path | None = None) -> list[Sentence]:
    """uds-dep: the sentences of a split with their UD v1 trees. Errors as for :func:`uds.load`."""
    return [uds.sentence(graph) for graph in uds.load(split, wheel=wheel)]


def nli(split: str, *, wheel: str | Path | None = None) -> list[Pair]:
    """uds-nli: inference pairs in the order of the corpus. Errors as for :func:`uds.load`.

    ``source`` of a pair names the property that was rated.
    """
    return [Pair(*row) for row in _rows("uds-nli", inference.make, split, wheel)]


def qa(split: str, *, wheel: str | Path | None = None) -> list[Question]:
    """uds-qa: questions in the order of the corpus. Errors as for :func:`uds.load`.

    The identifier of a question says what is asked for: graph, role, predicate and argument, as in
    ``ewt-dev-6-subject-9-2``.
    """
    return [
        Question(key, question, context, tuple(Answer(*answer) for answer in answers), document)
        for key, question, context, answers, document in _rows("uds-qa", questions.make, split, wheel)
    ]


_TASKS: dict[str, Callable] = {"uds-dep": dep, "uds-nli": nli, "uds-qa": qa}
NAMES = tuple(_TASKS)


def _task(name: str) -> Callable:
    if name not in _TASKS:
        raise ValueError(unknown("recast task", name, NAMES))
    return _TASKS[name]


def _rows(task: str, make: Callable, split: str, wheel: str | Path | None) -> list[list]:
    """The rows of a split; the three splits are made together, from the wheel, and kept in the store."""
    uds.check_split(split)

    def build(folder: Path) -> None:
        made = make({name: uds.load(name, wheel=wheel) for name in uds.SPLITS})
        for name, records in made.items():
            with open(folder / f"{name}.jsonl", "w", encoding="utf-8") as out:
                for record in records:
                    out.write(json.dumps(astuple(record), ensure_ascii=False) + "\n")

    spec = {"task": task, "schema": SCHEMA, "graphs": uds.SCHEMA, "wheel": uds.fingerprint(wheel)}
    folder = Store().get("recast", spec, build)
    with open(folder / f"{split}.jsonl", encoding="utf-8") as rows:
        return [json.loads(row) for row in rows]


def report(name: str, *, wheel: str | Path | None = None) -> list[dict]:
    """What a recast task consists of: one row per split and group of records.

    Groups are ``all`` and the sources of pairs or the roles asked for. Columns: ``corpus, split, group,
    records, documents``; for uds-nli ``entailed``, the share of that label; for uds-qa ``context_words``
    and ``answer_words``, means; for uds-dep ``words``, the total.
    """
    rows = []
    for split in uds.SPLITS:
        groups = defaultdict(list)
        for record in _task(name)(split, wheel=wheel):
            for group in ("all", *_groups(record)):
                groups[group].append(record)
        for group, members in groups.items():
            n, documents = len(members), len({member.document for member in members})
            row = dict(corpus=name, split=split, group=group, records=n, documents=documents)
            rows.append(row | _measures(members))
    return rows


def _groups(record: Sentence | Pair | Question) -> list[str]:
    if isinstance(record, Pair):
        return [record.source]
    return [questions.asks_for(record)] if isinstance(record, Question) else []


def _measures(members: list) -> dict[str, float]:
    def mean(values: list[int]) -> float:
        return sum(values) / len(members)

    if isinstance(members[0], Pair):
        return {"entailed": mean([member.label == inference.ENTAILED for member in members])}
    if isinstance(members[0], Question):
        return {
            "context_words": mean([len(member.context.split()) for member in members]),
            "answer_words": mean([len(member.answers[0].text.split()) for member in members]),
        }
    return {"words": sum(len(member.words) for member in members)}
