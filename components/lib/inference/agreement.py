"""What several answers to one question have in common, and whether one goes round in circles."""

import re
from collections import Counter
from collections.abc import Sequence

_WORD = re.compile(r"\w+|[^\w\s]")
_TIMES = 4  # that a stretch stands in a row before it is a loop
_LEAST = 12  # words of a loop: "ha ha ha ha" is none


def words(text: str) -> list[str]:
    """Return the words and marks of a text, in lower case."""
    return _WORD.findall(text.lower())


def overlap(one: str, other: str) -> float:
    """Return how many words two texts share: the F1 of SQuAD (Rajpurkar et al. 2016), 0 to 1."""
    left, right = words(one), words(other)
    if not left or not right:
        return float(left == right)
    shared = sum((Counter(left) & Counter(right)).values())
    return 2 * shared / (len(left) + len(right))


def agreement(answers: Sequence[str]) -> list[float]:
    """Return how much each answer agrees with the others: the mean overlap with them, 0 to 1.

    Of answers of one word it is the share of the others that say the same: self-consistency (Wang
    et al. 2022, arXiv 2203.11171). Of free text the largest is the answer of least risk (Eikema and
    Aziz 2020, arXiv 2005.10283). One answer alone agrees with itself.
    """
    if len(answers) < 2:
        return [1.0] * len(answers)
    return [
        sum(overlap(one, other) for place, other in enumerate(answers) if place != own)
        / (len(answers) - 1)
        for own, one in enumerate(answers)
    ]


def repeats_itself(text: str) -> bool:
    """Return whether a text says a stretch of words four times in a row, or more.

    A stretch may have any length, and its repeats make at least twelve words.
    """
    said = words(text)
    for period in range(1, len(said) // _TIMES + 1):
        wanted = max(_LEAST, _TIMES * period) - period
        run = 0
        for place in range(period, len(said)):
            run = run + 1 if said[place] == said[place - period] else 0
            if run >= wanted:
                return True
    return False
