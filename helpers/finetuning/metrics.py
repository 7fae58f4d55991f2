"""Scores of the fine-tuning tasks, by the rules of their official scorers, as fractions of 1."""

import re
import string
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence

from helpers.corpora.records import Sentence

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def accuracy(gold: Sequence[str], predicted: Sequence[str]) -> float:
    """Share of labels predicted right. Raises ValueError if lengths differ or nothing is given."""
    if len(gold) != len(predicted) or not gold:
        raise ValueError(f"{len(gold)} gold labels and {len(predicted)} predicted ones")
    return sum(g == p for g, p in zip(gold, predicted, strict=True)) / len(gold)


# -- question answering ----------------------------------------------------------------------------


def squad_scores(references: Mapping[str, Sequence[str]], predictions: Mapping[str, str]) -> dict[str, float]:
    """``exact_match`` and ``f1`` by the rules of the SQuAD v1.1 script (Rajpurkar et al. 2016).

    ``references`` gives each question's accepted answers, ``predictions`` the predicted text. Both
    scores are means over the questions of ``references``; one without a prediction scores 0, and a
    warning says how many there are. Raises ValueError for no questions or one without answers.
    """
    if not references:
        raise ValueError("no questions to score")
    missing = sum(question not in predictions for question in references)
    if missing:
        text = f"{missing} of {len(references)} questions have no prediction and score 0"
        warnings.warn(text, stacklevel=2)
    exact = f1 = 0.0
    for question, answers in references.items():
        if question in predictions:
            one_exact, one_f1 = answer_scores(answers, predictions[question], question)
            exact += one_exact
            f1 += one_f1
    return {"exact_match": exact / len(references), "f1": f1 / len(references)}


def answer_scores(answers: Sequence[str], predicted: str, question: str = "") -> tuple[float, float]:
    """Exact match and F1 of one predicted answer, each the best over the accepted answers.

    As in v1.1's script, and unlike v2.0's, two texts of which normalisation leaves nothing match exactly
    but have F1 0. Raises ValueError, naming the question, if there are no accepted answers.
    """
    if not answers:
        raise ValueError(f"question {question!r} has no accepted answers")
    normal = normalise_answer(predicted)
    wanted = [normalise_answer(answer) for answer in answers]
    return float(normal in wanted), max(_overlap(answer.split(), normal.split()) for answer in wanted)


def normalise_answer(text: str) -> str:
    """Lower case, without ASCII punctuation (other punctuation stays), articles and extra white space."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_NO_PUNCTUATION)).split())


def _overlap(gold: list[str], predicted: list[str]) -> float:
    shared = sum((Counter(gold) & Counter(predicted)).values())
    if shared == 0:
        return 0.0
    precision, recall = shared / len(predicted), shared / len(gold)
    return 2 * precision * recall / (precision + recall)


# -- dependency parsing ----------------------------------------------------------------------------

Parse = tuple[Sequence[int], Sequence[str]]  # heads and relations of a sentence


def attachment_scores(
    gold: Sequence[Sentence],
    predicted: Sequence[Parse],
    *,
    punctuation: bool = True,
    subtypes: bool = False,
) -> dict[str, float]:
    """Share of words with the right head (``uas``), and with the right head and relation (``las``).

    The defaults are the rules of the CoNLL 2018 shared task: punctuation counts, of ``nsubj:pass`` only
    ``nsubj`` does. ``punctuation=False`` leaves out words whose UPOS is PUNCT; ``subtypes=True`` asks for
    the full relation. Micro-averages over words. Raises ValueError as :func:`attachment_counts` does,
    or if there are no words to score.
    """
    if len(gold) != len(predicted):
        raise ValueError(f"{len(gold)} gold sentences and {len(predicted)} predicted ones")
    heads = labelled = total = 0
    for sentence, parse in zip(gold, predicted, strict=True):
        counts = attachment_counts(sentence, parse, punctuation=punctuation, subtypes=subtypes)
        heads, labelled, total = heads + counts[0], labelled + counts[1], total + counts[2]
    if total == 0:
        raise ValueError("no words to score")
    return {"uas": heads / total, "las": labelled / total}


def attachment_counts(
    gold: Sentence, predicted: Parse, *, punctuation: bool = True, subtypes: bool = False
) -> tuple[int, int, int]:
    """Words of one sentence with the right head, with the right head and relation, and words scored.

    The sufficient statistics for a bootstrap over sentences. Raises ValueError, naming the sentence, if
    it lacks the annotation needed or the parse has another number of words.
    """
    n = len(gold.words)
    if len(gold.heads) != n or len(gold.deprels) != n:
        raise ValueError(f"sentence {gold.id!r} has no gold heads and relations")
    if not punctuation and len(gold.upos) != n:
        raise ValueError(f"sentence {gold.id!r} has no UPOS tags, needed to leave punctuation out")
    heads, relations = predicted
    if len(heads) != n or len(relations) != n:
        raise ValueError(
            f"sentence {gold.id!r} has {n} words, its parse {len(heads)} heads and {len(relations)} relations"
        )
    right_heads = right_both = scored = 0
    for i in range(n):
        if not punctuation and gold.upos[i] == "PUNCT":
            continue
        scored += 1
        if heads[i] == gold.heads[i]:
            right_heads += 1
            wanted, got = gold.deprels[i], relations[i]
            right_both += wanted == got if subtypes else universal(wanted) == universal(got)
    return right_heads, right_both, scored


def universal(relation: str) -> str:
    """A relation without its subtype: ``nsubj`` of ``nsubj:pass``."""
    return relation.partition(":")[0]
