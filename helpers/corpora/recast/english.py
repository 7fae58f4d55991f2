"""English text and verb forms, by rule: spaces between tokens, irregular verbs, agreement."""

import re
from collections.abc import Iterable

_CLITIC = re.compile(r"(?i)['’`´](s|m|re|ve|ll|d|t|em|all|im|n)?$|^n['’`´]?t$")
_BARE_CLITICS = {"s", "m", "re", "ve", "ll", "d", "nt", "na", "ta"}
_JOINED = {("can", "not"), ("gon", "na"), ("wan", "na"), ("got", "ta"), ("gim", "me"), ("lem", "me")}
_CLOSING = re.compile(r"([.,;:!?…%)\]}»”]+|''|>+)$")
_OPENING = re.compile(r"([(\[{«“$£€#]|``|<+)$")

Word = tuple[str, str]  # a word and its XPOS tag


def detokenise(tokens: Iterable[Word]) -> tuple[str, tuple[int, ...]]:
    """Running text of (word, XPOS) tokens, and the position in it where each token starts.

    UDS does not keep the spaces of the source; they are put back by rule. Quotation marks open and
    close in turn unless their tag says which they do.
    """
    text, starts, before = "", [], ""
    open_quotes = {'"': False, "'": False}
    glued = True  # the next token follows without a space
    for word, tag in tokens:
        opens = _OPENING.match(word) is not None and tag != "NFP"
        closes = _CLOSING.match(word) is not None and tag != "NFP"
        if word in open_quotes and tag in ("``", "''"):
            opens = tag == "``" or (word == '"' and not open_quotes[word])
            closes = not opens
            open_quotes[word] = opens
        elif word == "/" or (word == "-" and tag in ("HYPH", "SYM")):
            opens = closes = True
        elif _CLITIC.match(word) and tag != "``":
            closes = True
        elif word.lower() in _BARE_CLITICS and tag in ("POS", "VBZ", "VBP", "MD", "RB", "TO"):
            closes = before.isalpha()
        elif (before.lower(), word.lower()) in _JOINED:
            closes = True
        if not glued and not closes:
            text += " "
        starts.append(len(text))
        text += word
        glued, before = opens, word
    return text, tuple(starts)


def untagged(*texts: str) -> list[Word]:
    """The words of templates, without tags."""
    return [(word, "") for text in texts for word in text.split()]


def plain(tokens: Iterable[Word]) -> str:
    """Running text of (word, XPOS) tokens."""
    return detokenise(tokens)[0]


def sentence(tokens: Iterable[Word], mark: str) -> str:
    """Running text with a capital and a final mark."""
    text = plain(tokens)
    return f"{text[:1].upper()}{text[1:]}{mark}"


# Verbs that say little by themselves.
LIGHT = set(
    "be become begin come do get go have help keep let make need put seem start take try use want".split()
)

# Past tense and, where it differs, participle.
_IRREGULAR = """
arise arose arisen, awake awoke awoken, bear bore borne, beat beat beaten, become became become, begin
began begun, bend bent, bet bet, bid bid, bind bound, bite bit bitten, bleed bled, blow blew blown, break
broke broken, breed bred, bring brought, broadcast broadcast, build built, burst burst, buy bought, cast
cast, catch caught, choose chose chosen, cling clung, come came come, cost cost, creep crept, cut cut,
deal dealt, dig dug, do did done, draw drew drawn, drink drank drunk, drive drove driven, eat ate eaten,
fall fell fallen, feed fed, feel felt, fight fought, find found, flee fled, fling flung, fly flew flown,
forbid forbade forbidden, forecast forecast, foresee foresaw foreseen, forget forgot forgotten, forgive
forgave forgiven, freeze froze frozen, get got gotten, give gave given, go went gone, grind ground, grow
grew grown, hang hung, have had, hear heard, hide hid hidden, hit hit, hold held, hurt hurt, keep kept,
kneel knelt, know knew known, lay laid, lead led, leave left, lend lent, let let, lie lay lain, light lit,
lose lost, make made, mean meant, meet met, mislead misled, mistake mistook mistaken, misunderstand
misunderstood, outbid outbid, overcome overcame overcome, overhear overheard, overrun overran overrun,
oversee oversaw overseen, overtake overtook overtaken, pay paid, prepay prepaid, prove proved proven, put
put, quit quit, read read, rebuild rebuilt, redo redid redone, repay repaid, reset reset, ride rode
ridden, ring rang rung, rise rose risen, run ran run, say said, see saw seen, seek sought, sell sold, send
sent, set set, sew sewed sewn, shake shook shaken, shed shed, shine shone, shoot shot, show showed shown,
shrink shrank shrunk, shut shut, sing sang sung, sink sank sunk, sit sat, sleep slept, slide slid, slit
slit, sow sowed sown, speak spoke spoken, speed sped, spend spent, spin spun, spit spat, split split,
spread spread, spring sprang sprung, stand stood, steal stole stolen, stick stuck, sting stung, stink
stank stunk, strike struck, strive strove striven, swear swore sworn, sweep swept, swell swelled swollen,
swim swam swum, swing swung, take took taken, teach taught, tear tore torn, tell told, think thought,
throw threw thrown, thrust thrust, tread trod trodden, undergo underwent undergone, understand understood,
undertake undertook undertaken, undo undid undone, uphold upheld, upset upset, wake woke woken, wear wore
worn, weave wove woven, weep wept, win won, wind wound, withdraw withdrew withdrawn, withhold withheld,
withstand withstood, write wrote written
"""
_PAST, _PARTICIPLE = {"be": "was"}, {"be": "been"}
for _entry in _IRREGULAR.replace("\n", " ").split(","):
    _lemma, _past, *_participle = _entry.split()
    _PAST[_lemma], _PARTICIPLE[_lemma] = _past, (_participle or [_past])[0]

# Stressed on the last syllable, so that the final consonant is doubled; one-syllable verbs always do.
_DOUBLING = set(
    "admit allot begin commit compel concur confer control defer deter embed emit equip excel expel "
    "forbid forget format incur kidnap occur omit outfit patrol permit prefer program propel rebel "
    "recur refer regret remit retrofit submit transfer transmit unzip upset".split()
)
_ONE_SYLLABLE = re.compile(r"[^aeiou]*(?:qu)?[aeiou][bdfgklmnprtvz]$")
_SIBILANT = re.compile(r"(s|x|z|ch|sh)$")
_CONSONANT_Y = re.compile(r"[^aeiou]y$")


def past(lemma: str) -> str:
    """Past tense (of ``be``: was)."""
    return _PAST.get(lemma) or _regular_past(lemma)


def participle(lemma: str) -> str:
    """Past participle."""
    return _PARTICIPLE.get(lemma) or _regular_past(lemma)


def gerund(lemma: str) -> str:
    """The form in -ing."""
    if lemma.endswith("ie"):
        return lemma[:-2] + "ying"
    if lemma.endswith("e") and not lemma.endswith(("ee", "oe", "ye")) and lemma != "be":
        return lemma[:-1] + "ing"
    return _doubled(lemma) + "ing"


def third_person(lemma: str) -> str:
    """Third person singular of the present."""
    if lemma in ("be", "have"):
        return {"be": "is", "have": "has"}[lemma]
    if _CONSONANT_Y.search(lemma):
        return lemma[:-1] + "ies"
    return lemma + ("es" if _SIBILANT.search(lemma) or lemma.endswith("o") else "s")


def _regular_past(lemma: str) -> str:
    if lemma.endswith("e"):
        return lemma + "d"
    if _CONSONANT_Y.search(lemma):
        return lemma[:-1] + "ied"
    return _doubled(lemma) + "ed"


def _doubled(lemma: str) -> str:
    return lemma + lemma[-1] if _ONE_SYLLABLE.match(lemma) or lemma in _DOUBLING else lemma


def finite(lemma: str, tense: str, person: int, plural: bool) -> str:
    """The verb form that agrees with a subject; ``tense`` is "past" or "present"."""
    if lemma == "be":
        if person == 1 and not plural:
            return "was" if tense == "past" else "am"
        return {"past": ("was", "were"), "present": ("is", "are")}[tense][plural or person == 2]
    if tense == "past":
        return past(lemma)
    return lemma if plural or person != 3 else third_person(lemma)
