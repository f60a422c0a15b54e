"""The form in which short answers are compared: the VQA challenge's, as EvalAI and as VLMEvalKit have it."""

import re

PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
"""What `remove_punctuation` removes; periods have rules of their own, and all other marks stay."""

_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
NUMBERS = {"none": "0"} | {word: str(number) for number, word in enumerate(_NUMBERS)}
ARTICLES = ("a", "an", "the")

_APOSTROPHES = """
    ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't haven't he'd he'd've
    he's how'd how'll how's isn't it'd it'd've it'll ma'am might've mightn't mightn't've must've mustn't needn't not've
    o'clock oughtn't 'ow's'at shan't she'd've should've shouldn't shouldn't've somebody'd've somebody'll somebody's
    someone'd someone'd've someone'll someone's something'd something'd've something'll that's there'd there'd've
    there're there's they'd they'd've they'll they're they've 'twas wasn't we'd've we've weren't what'll what're what's
    what've when's where'd where's where've who'd who'd've who'll who's who've why'll why're why's won't would've
    wouldn't wouldn't've y'all y'all'd've y'all'll you'd you'd've you'll you're you've
"""

CONTRACTIONS = {
    word[:place] + word[place + 1 :]: word
    for word in _APOSTROPHES.split()
    for place, character in enumerate(word)
    if character == "'"
} | {"somebody'd": "somebodyd"}
"""Contractions by what is left of them without one of their apostrophes; the last entry is the challenge's own slip.

The challenge's list (VQA's `vqaEval.py`) has capitals in some keys, which lower-cased words never meet: left out here.
"""

_EVALAI_PERIODS = re.compile(r"\.(?!\d)")
_VLMEVALKIT_PERIODS = re.compile(r"(?<!\d)\.(?!\d)")
_MOST_PERIODS = 32
"""Periods beyond so many stay. Both scorers hand `re.sub` a flag of this value where it takes a count."""


def normalise_evalai(text: str) -> str:
    """Gives the form of EvalAI's TextVQA scorer, which Cambrian-1 and lmms-eval share: "U.S.A., the 3" is "usa 3"."""
    text = text.lower().replace(",", "").replace("?", "").replace("'s", " 's").strip()
    return _standard_words(_EVALAI_PERIODS.sub("", remove_punctuation(_one_line(text)), count=_MOST_PERIODS))


def normalise_vlmevalkit(text: str) -> str:
    """Gives VLMEvalKit's form: commas separate words, "'s" stays where it is, and so does a period after a digit."""
    return _standard_words(_VLMEVALKIT_PERIODS.sub("", remove_punctuation(_one_line(text)), count=_MOST_PERIODS))


def remove_punctuation(text: str) -> str:
    """Removes `PUNCTUATION`: a mark that stands beside a space anywhere in the text vanishes, another becomes a space.

    In a text with a comma between digits, such as "1,000", all of them vanish.
    """
    has_thousands = re.search(r"\d,\d", text) is not None
    removed = text
    for mark in PUNCTUATION:
        vanishes = has_thousands or f"{mark} " in text or f" {mark}" in text
        removed = removed.replace(mark, "" if vanishes else " ")
    return removed


def _one_line(text: str) -> str:
    return text.replace("\n", " ").replace("\t", " ").strip()


def _standard_words(text: str) -> str:
    """Writes numbers up to ten as digits, drops articles and puts missing apostrophes back."""
    words = (NUMBERS.get(word, word) for word in text.lower().split())
    return " ".join(CONTRACTIONS.get(word, word) for word in words if word not in ARTICLES)
