"""How far one gets without reading: baselines that see only part of the input.

What a hypothesis gives away of its label (Poliak et al. 2018, Gururangan et al. 2018), and what a context
gives away of the questions that will be asked about it (Kaushik and Lipton 2018). They work on any
inference pairs and questions, MultiNLI's and SQuAD's included.
"""

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from sklearn.feature_extraction import DictVectorizer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from helpers.corpora.records import Pair, Question

CONTEXTS = 4000  # at most so many contexts are learnt from


def nli(train: Sequence[Pair], test: Sequence[Pair]) -> dict[str, dict[str, float]]:
    """Accuracy by baseline, as ``{name: {"accuracy": ...}}``.

    ``majority`` is the most frequent label of ``train``. ``hypothesis_only`` is a logistic regression on
    the words and word pairs of the hypothesis (tf-idf), ``bag_of_words`` one that also sees, apart, those
    of the premise but not how the two are related. Raises ValueError if a set is empty.
    """
    _need(train, test)
    labels = [pair.label for pair in train]
    gold = [pair.label for pair in test]
    counts = Counter(labels)
    majority = min(counts, key=lambda label: (-counts[label], label))
    found = {"majority": [majority] * len(test)}
    views = {
        "hypothesis_only": lambda pair: _terms("", pair.hypothesis),
        "bag_of_words": lambda pair: _terms("", pair.hypothesis) + _terms("premise:", pair.premise),
    }
    for name, view in views.items():
        if len(counts) == 1:
            found[name] = found["majority"]
            continue
        model = make_pipeline(
            TfidfVectorizer(analyzer=view, min_df=2 if len(train) >= 100 else 1, sublinear_tf=True),
            LogisticRegression(max_iter=1000),
        )
        found[name] = model.fit(train, labels).predict(test)
    return {
        name: {"accuracy": sum(p == g for p, g in zip(predicted, gold, strict=True)) / len(gold)}
        for name, predicted in found.items()
    }


def qa(train: Sequence[Question], test: Sequence[Question]) -> dict[str, dict[str, float]]:
    """SQuAD's scores by baseline, as ``{name: {"exact_match": ..., "f1": ...}}``.

    ``question_blind`` is :func:`question_blind`; ``longest_name`` answers with the longest run of
    capitalised words or numbers in the context. Raises ValueError if a set is empty.
    """
    _need(train, test)
    from helpers.finetuning.metrics import squad_scores

    references = {question.id: [answer.text for answer in question.answers] for question in test}
    names = {question.id: _longest_name(question.context) for question in test}
    return {
        "question_blind": squad_scores(references, question_blind(train, test)),
        "longest_name": squad_scores(references, names),
    }


def question_blind(train: Sequence[Question], test: Sequence[Question]) -> dict[str, str]:
    """Answers by question id, given the context alone.

    Candidates are the stretches between function words and punctuation, with and without a determiner. A
    logistic regression learns from ``train`` which of them are answers, by their words, form,
    neighbours and place; the most probable one answers every question on a context.
    """
    answers = defaultdict(set)
    for question in train:
        answers[question.context].update(_normal(answer.text) for answer in question.answers)
    chosen = sorted(answers, key=lambda context: hashlib.sha256(context.encode()).digest())[:CONTEXTS]
    features, labels = [], []
    for context in chosen:
        for text, description in _candidates(context):
            features.append(description)
            labels.append(_normal(text) in answers[context])
    if len(set(labels)) < 2:  # too little to learn from: the first candidate there is
        return {question.id: next(_candidates(question.context), ("", {}))[0] for question in test}
    model = make_pipeline(DictVectorizer(), LogisticRegression(max_iter=300))
    model.fit(features, labels)
    best = {}
    for context in dict.fromkeys(question.context for question in test):
        texts, descriptions = zip(*_candidates(context), strict=True) if context.strip() else ((), ())
        scores = model.decision_function(list(descriptions)) if texts else []
        best[context] = max(zip(scores, texts, strict=True), key=lambda item: item[0])[1] if texts else ""
    return {question.id: best[question.context] for question in test}


def _need(train: Sequence, test: Sequence) -> None:
    for name, records in (("training", train), ("test", test)):
        if not records:
            raise ValueError(f"no {name} records")


def _terms(prefix: str, text: str) -> list[str]:
    words = re.findall(r"[\w']+", text.lower())
    return [prefix + term for term in (*words, *map(" ".join, zip(words, words[1:], strict=False)))]


_TOKEN = re.compile(r"[\w$€£%]+(?:['’.,&/:-][\w]+)*%?|[^\w\s]")
_DETERMINERS = set("a an the my your his her its our their this that these those some two three".split())
_FUNCTION = _DETERMINERS | set(
    "about after against all also am among and are around as at be because been before being between both but"
    " by can could did do does don't during for from get got had has have he him how i i'm if in into is it"
    " it's just may me might more most much must no nor not of off on only or other out over shall she should"
    " so such than them then there they through to under until up us very was we were what when where which"
    " while who whom whose why will with within without would you".split()
)
LONGEST = 6  # words of a candidate


def _candidates(context: str) -> Iterator[tuple[str, dict]]:
    """(text, features) of the stretches of a context that may be answers; at least one if there is a word."""
    tokens = [(match.group(), match.start(), match.end()) for match in _TOKEN.finditer(context)]
    content = [word[0].isalnum() and word.lower() not in _FUNCTION for word, _, _ in tokens]
    if not any(content):
        content = [True] * len(tokens)
    sentence, i = 0, 0
    while i < len(tokens):
        if tokens[i][0] in ".?!":
            sentence += 1
        if not content[i]:
            i += 1
            continue
        last = i
        while last + 1 < len(tokens) and content[last + 1]:
            last += 1
        determined = i > 0 and tokens[i - 1][0].lower() in _DETERMINERS
        for first in (i - 1, i) if determined else (i,):
            for end in {min(last, first + LONGEST - 1), i}:
                yield context[tokens[first][1] : tokens[end][2]], _features(tokens, first, end, sentence)
        i = last + 1


def _features(tokens: list[tuple[str, int, int]], first: int, last: int, sentence: int) -> dict:
    words = [word for word, _, _ in tokens[first : last + 1]]
    before = tokens[first - 1][0].lower() if first else "^"
    after = tokens[last + 1][0].lower() if last + 1 < len(tokens) else "$"
    return {
        f"before={before}": 1.0,
        f"after={after}": 1.0,
        f"first={words[0].lower()}": 1.0,
        f"last={words[-1].lower()}": 1.0,
        f"suffix={words[-1].lower()[-3:]}": 1.0,
        f"length={len(words)}": 1.0,
        f"sentence={min(sentence, 8)}": 1.0,
        "capitalised": sum(word[0].isupper() for word in words) / len(words),
        "number": float(any(word[0].isdigit() for word in words)),
        "place": first / len(tokens),
    }


def _longest_name(context: str) -> str:
    runs, run = [""], []
    for match in _TOKEN.finditer(context):
        word = match.group()
        if word[0].isupper() or word[0].isdigit():
            run.append(match)
            runs.append(context[run[0].start() : match.end()])
        else:
            run = []
    return max(runs, key=len) or context.split(maxsplit=1)[0] if context.strip() else ""


def _normal(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))
