"""Answers without an encoder: a candidate of the context, chosen by rules or by a linear classifier.

Candidates are the stretches between function words and punctuation, with and without a determiner. One
answerer learns which of them are answers to anything, another which of them answer the question.
"""

import functools
import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from helpers.corpora.records import Question
from helpers.finetuning import metrics
from helpers.finetuning.tasks.base import held_out, stem

Questions = Sequence[Question]
Answered = dict[str, str]  # by question id

LONGEST = 6  # words of a candidate
CONTEXTS = 4000  # that classifiers learn from, at most

_TOKEN = re.compile(r"[\w$€£%]+(?:['’.,&/:-][\w]+)*%?|[^\w\s]")
_DETERMINERS = set("a an the my your his her its our their this that these those some two three".split())
_FUNCTION = _DETERMINERS | set(
    "about after against all also am among and are around as at be because been before being between both but"
    " by can could did do does don't during for from get got had has have he him how i i'm if in into is it"
    " it's just may me might more most much must no nor not of off on only or other out over shall she should"
    " so such than them then there they through to under until up us very was we were what when where which"
    " while who whom whose why will with within without would you".split()
)


def longest_name(train: Questions, evaluation: Questions) -> Answered:
    """The context's longest run of capitalised words or numbers, whatever is asked."""
    return {question.id: _longest_name(question.context) for question in evaluation}


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


# -- candidates ------------------------------------------------------------------------------------


Token = tuple[str, int, int]  # its text, first and last + 1 character


def tokens_of(text: str) -> list[Token]:
    return [(match.group(), match.start(), match.end()) for match in _TOKEN.finditer(text)]


def spans(tokens: Sequence[Token]) -> Iterator[tuple[int, int]]:
    """First and last token of the stretches that may be answers; at least one if there is a token."""
    content = [_is_content(word) for word, _, _ in tokens]
    if not any(content):
        content = [True] * len(tokens)
    i = 0
    while i < len(tokens):
        if not content[i]:
            i += 1
            continue
        last = i
        while last + 1 < len(tokens) and content[last + 1]:
            last += 1
        determined = i > 0 and tokens[i - 1][0].lower() in _DETERMINERS
        for first in (i - 1, i) if determined else (i,):
            yield first, i
            if min(last, first + LONGEST - 1) > i:
                yield first, min(last, first + LONGEST - 1)
        i = last + 1


def _is_content(word: str) -> bool:
    return word[0].isalnum() and word.lower() not in _FUNCTION


def _sentences(tokens: Sequence[Token]) -> list[int]:
    """Number of the sentence that each token is in."""
    ends = [word in ".?!" for word, _, _ in tokens]
    return np.cumsum(ends).tolist()


def _normal(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))


def _chosen(train: Questions) -> list[str]:
    """The training contexts that classifiers learn from."""
    contexts = dict.fromkeys(question.context for question in train)
    return sorted(contexts, key=lambda context: hashlib.sha256(context.encode()).digest())[:CONTEXTS]


# -- without the question --------------------------------------------------------------------------


def question_blind(train: Questions, evaluation: Questions) -> Answered:
    """Answers given the context alone: what it gives away (Kaushik and Lipton 2018).

    A logistic regression learns from ``train`` which candidates are answers, by their words, form, neighbours
    and place; the most probable one answers every question on a context.
    """
    from sklearn.feature_extraction import DictVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    answers: dict[str, set[str]] = defaultdict(set)
    for question in train:
        answers[question.context].update(_normal(answer.text) for answer in question.answers)
    features, labels = [], []
    for context in _chosen(train):
        for text, description in _described(context):
            features.append(description)
            labels.append(_normal(text) in answers[context])
    if len(set(labels)) < 2:  # too little to learn from: the first candidate there is
        return {q.id: next(_described(q.context), ("", {}))[0] for q in evaluation}
    model = make_pipeline(DictVectorizer(), LogisticRegression(max_iter=300))
    model.fit(features, labels)
    best = {}
    for context in dict.fromkeys(question.context for question in evaluation):
        texts, descriptions = zip(*_described(context), strict=True) if context.strip() else ((), ())
        scores = model.decision_function(list(descriptions)) if texts else []
        best[context] = max(zip(scores, texts, strict=True), key=lambda item: item[0])[1] if texts else ""
    return {question.id: best[question.context] for question in evaluation}


def _described(context: str) -> Iterator[tuple[str, dict]]:
    """(text, features) of a context's candidates."""
    tokens = tokens_of(context)
    sentence = _sentences(tokens)
    for first, last in spans(tokens):
        yield context[tokens[first][1] : tokens[last][2]], _features(tokens, first, last, sentence[first])


def _features(tokens: Sequence[Token], first: int, last: int, sentence: int) -> dict:
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


# -- with the question -----------------------------------------------------------------------------

NEGATIVES = 12  # candidates that do not answer a training question
KINDS = 100  # of questions told apart, at most
REACH = (2, 5, 10, 20)  # words on either side
N_WINDOWS = 2 * len(REACH) + 4  # numbers that :func:`windows` gives of a candidate
STRENGTHS = (0.01, 0.03, 0.1, 0.3)  # scikit-learn's C
HELD_OUT = 500  # questions that the strength is chosen on, at most
_ASKING = ("who", "whom", "whose", "when", "where", "which", "what", "why", "how")


def question_window(train: Questions, evaluation: Questions) -> Answered:
    """Answers given question and context, by the words that the two share around a candidate.

    How many of the question's words, the rarer in the context the heavier, stand beside a candidate is the
    sliding window of Richardson et al. (2013); a logistic regression learns what it is worth together with
    the candidate's form and words, each also for a kind of question by itself, as Rajpurkar et al. (2016) do
    with a parser's help. ``STRENGTHS`` are compared on the questions of a fifth of the training contexts.
    """
    chosen = set(_chosen(train))
    train = [question for question in train if question.context in chosen]
    reader = _Reader()
    rest = [question for question in train if not held_out(question.context)]
    judged = [question for question in train if held_out(question.context)][:HELD_OUT]
    best = STRENGTHS[1]
    if judged and rest:
        references = {question.id: [a.text for a in question.answers] for question in judged}
        models = reader.learn(rest, STRENGTHS)
        f1 = {c: metrics.squad_scores(references, reader.answer(judged, w))["f1"] for c, w in models.items()}
        best = max(f1, key=lambda c: f1[c])
    return reader.answer(evaluation, reader.learn(train, [best])[best])


def windows(context: "Context", question: str) -> np.ndarray:
    """What candidates share with a question around them, (n, N_WINDOWS), shares of all that is shared.

    By position: the words left and right of a candidate within each ``REACH``, those in its sentence but
    outside it, whether no other sentence has more, those within it, and whether there are any.
    """
    asked = {stem(word) for word, _, _ in tokens_of(question.lower())}
    hits = np.array([word in asked for word in context.stems]) * context.weights
    total = sum({word: hit for word, hit in zip(context.stems, hits, strict=True)}.values()) or 1.0
    until = np.append(0.0, np.cumsum(hits)) / total
    first, after, n = context.spans[:, 0], context.spans[:, 1] + 1, len(hits)
    inside = until[after] - until[first]
    around = np.bincount(context.sentence, hits / total)[context.sentence[first]] - inside
    columns = [until[first] - until[np.maximum(first - reach, 0)] for reach in REACH]
    columns += [until[np.minimum(after + reach, n)] - until[after] for reach in REACH]
    return np.stack([*columns, around, around >= around.max() - 1e-9, inside, inside > 1e-9], 1)


def kinds(question: str) -> list[str]:
    """What kind of question it is: its question word, and that with the word after it."""
    words = [word for word, _, _ in tokens_of(question.lower())]
    at = next((i for i, word in enumerate(words) if word in _ASKING), None)
    return ["?"] if at is None else [words[at], " ".join(words[at : at + 2])]


@dataclass(frozen=True, eq=False)
class Context:
    """A context's tokens and candidates, n of them.

    ``stems``, ``sentence`` and ``weights`` of each token: without its ending, which sentence it is in, and
    log(1 + 1 / occurrences), 0 for function words and punctuation. ``spans`` (n, 2) first and last token,
    ``texts`` and ``features`` of each candidate.
    """

    stems: list[str]
    sentence: np.ndarray
    weights: np.ndarray
    spans: np.ndarray
    texts: list[str]
    features: list[list[str]]

    @classmethod
    def of(cls, context: str) -> "Context":
        tokens = tokens_of(context)
        stems = [stem(word.lower()) for word, _, _ in tokens]
        counts = Counter(stems)
        weights = [
            np.log1p(1 / counts[name]) if _is_content(word) else 0.0
            for name, (word, _, _) in zip(stems, tokens, strict=True)
        ]
        stretches = list(spans(tokens))
        return cls(
            stems,
            np.array(_sentences(tokens), int),
            np.array(weights),
            np.array(stretches, int).reshape(-1, 2),
            [context[tokens[first][1] : tokens[last][2]] for first, last in stretches],
            [_form(tokens, first, last) for first, last in stretches],
        )


def _form(tokens: Sequence[Token], first: int, last: int) -> list[str]:
    described = _features(tokens, first, last, 0)
    named = [
        name for name in described if name.startswith(("before=", "after=", "last=", "suffix=", "length="))
    ]
    words = [word for word, _, _ in tokens[first : last + 1]]
    shape = "9" if any(word[0].isdigit() for word in words) else "Aa"[words[-1][0].islower()]
    return [*named, f"form={shape}{len(words) > 1:d}", f"determiner={words[0].lower() in _DETERMINERS}"]


class _Reader:
    """Candidates under a question as sparse rows: what holds of them, for all questions and for its kinds."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}  # of features, those of windows first
        self.kinds: dict[str, int] = {}  # 0 is any question
        self.read = functools.cache(self._read)

    def _read(self, text: str) -> tuple[Context, np.ndarray]:
        """A context, and its candidates' features by their numbers."""
        context, numbers = Context.of(text), self.numbers
        known = [[numbers.setdefault(f, N_WINDOWS + len(numbers)) for f in own] for own in context.features]
        return context, np.array(known, int).reshape(len(known), -1)

    def rows(self, question: Question, chosen: np.ndarray | slice) -> tuple[np.ndarray, np.ndarray]:
        """Columns and values, (n_chosen, n_features) each, of candidates."""
        context, numbers = self.read(question.context)
        shared, form = windows(context, question.question)[chosen], numbers[chosen]
        places = np.broadcast_to(np.arange(N_WINDOWS), shared.shape)
        columns = np.concatenate([places, form], 1) * (1 + KINDS)
        values = np.concatenate([shared, np.ones(form.shape)], 1)
        own = [0, *(self.kinds[kind] for kind in kinds(question.question) if kind in self.kinds)]
        return np.concatenate([columns + kind for kind in own], 1), np.tile(values, len(own))

    def learn(self, train: Questions, strengths: Sequence[float]) -> dict[float, np.ndarray]:
        """Weights of the columns, by strength; all 0 if no candidate is right."""
        from sklearn.linear_model import LogisticRegression

        counts = Counter(kind for question in train for kind in kinds(question.question))
        self.kinds = {kind: i for i, (kind, _) in enumerate(counts.most_common(KINDS), start=1)}
        generator, parts, labels = np.random.default_rng(0), [], []
        for question in train:
            accepted = {_normal(answer.text) for answer in question.answers}
            right = np.array([_normal(text) in accepted for text in self.read(question.context)[0].texts])
            if right.any() and not right.all():
                wrong = generator.permutation(np.flatnonzero(~right))[:NEGATIVES]
                chosen = np.append(np.flatnonzero(right), wrong)
                parts.append(self.rows(question, chosen))
                labels.append(right[chosen])
        n = (N_WINDOWS + len(self.numbers)) * (1 + KINDS)
        if not parts:
            return {strength: np.zeros(n) for strength in strengths}
        columns, values = (np.concatenate([part[i].ravel() for part in parts]) for i in (0, 1))
        lengths = np.concatenate([np.full(len(part[0]), part[0].shape[1]) for part in parts])
        x = sparse.csr_matrix((values, columns, np.append(0, np.cumsum(lengths))), shape=(len(lengths), n))
        common = np.flatnonzero(np.bincount(columns, minlength=n) >= (2 if len(parts) >= 100 else 1))
        x, right = x[:, common], np.concatenate(labels)
        weights = {}
        for strength in strengths:
            weights[strength] = np.zeros(n)
            weights[strength][common] = LogisticRegression(C=strength, max_iter=300).fit(x, right).coef_[0]
        return weights

    def answer(self, questions: Questions, weights: np.ndarray) -> Answered:
        """The best candidate for each question, of equals the first; nothing where there is none."""
        answers = {}
        for question in questions:
            texts = self.read(question.context)[0].texts
            answers[question.id] = ""
            if texts:
                columns, values = self.rows(question, slice(None))
                known = columns < len(weights)  # others are features that training has not seen
                scores = (weights[np.where(known, columns, 0)] * known * values).sum(1)
                answers[question.id] = texts[int(scores.argmax())]
        return answers
