"""Documents of one template that say different things, and so must all be kept.

Each family differs in one kind of thing alone: an operator, a number, a name or what is told.
"""
# ruff: noqa: RUF001 - the words of other scripts

import random
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from components.data.duplicates.tokens import is_content

FORM = "kept: "
"""What the form of a document that must be kept begins with."""


def _parts(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_TASK = (
    "Below is an instruction that describes a task. Write a response that appropriately completes"
    " the request.\n\n### Instruction:\n{}\n\n### Response:\n{}"
)
_OPERATORS = _parts("+ - * / % ** // << >> | & ^")
_RELATIONS = _parts("< > = ≠ ≤ ≥")
_NUMBERS = tuple(str(number) for number in (*range(2, 20), *range(25, 1000, 13)))
_PLACES = _parts(
    "France Japan Peru Kenya Norway Egypt Chile Ghana Cuba Nepal Fiji Oman Iran Iraq Italy Spain"
    " Latvia Malta Mali Togo Qatar Austria Hungary Iceland Ireland Jordan Lebanon Mexico Panama"
)
_THINGS = _parts(
    "dragon river castle garden lantern sailor bakery mountain violin library desert orchard"
    " market bridge harbour forest painter compass teacher island clock balloon mirror"
)
_VARIABLES = _parts("total price weight height speed income volume length width depth count")


class Family(NamedTuple):
    """A template and what is put into it."""

    form: str
    """What differs, and in what kind of text."""
    template: str
    """Has `{}` wherever the filling stands."""
    fillings: Sequence[str]
    """One for each document."""


_FAMILIES = (
    Family(
        "code, other operator",
        "def scale(values, factor):\n    result = []\n    for value in values:\n"
        "        result.append(value {} factor)\n    return result\n",
        _OPERATORS,
    ),
    Family(
        "code, other number",
        'def read(file):\n    """Return the rows."""\n    limit = {}\n'
        "    with open(file) as lines:\n        return [row for row in lines][:limit]\n",
        _NUMBERS,
    ),
    Family(
        "code, other name",
        "SELECT customer, SUM({0}) AS answer FROM orders WHERE {0} > 0 GROUP BY customer;",
        _VARIABLES,
    ),
    Family(
        "maths, other operator",
        "We are given that x {} 12 holds. Since x is an integer, we look at all integers for which"
        " this is so, and find the smallest absolute value among them.",
        _RELATIONS,
    ),
    Family(
        "maths, other number",
        "A farmer has {} sheep and buys three more each week. How many sheep does he have after a"
        " month of four weeks, if none of them is sold or lost?",
        _NUMBERS,
    ),
    Family(
        "chat, other name",
        _TASK.format(
            "What is the capital of {0}, and what is it known for?",
            "The capital lies in the middle of {0} and is known for its old market.",
        ),
        _PLACES,
    ),
    Family(
        "chat, other content",
        _TASK.format(
            "Write the first sentence of a story about a {0}.",
            "Once upon a time there was a {0} that nobody in the village had ever noticed.",
        ),
        _THINGS,
    ),
    Family(
        "table, other number",
        "| month | sold | left |\n|---|---|---|\n| May | {} | 40 |\n| June | 12 | 28 |\n",
        _NUMBERS,
    ),
    Family(
        "table, other content",
        "item,colour,place\n{},red,cellar\nchair,green,attic\ntable,white,kitchen\n",
        _THINGS,
    ),
    Family(
        "Chinese",
        "请介绍一下{}的历史和文化，并说明它为什么是一个重要的城市。回答要简短，不超过一百字。",
        _parts("北京 上海 广州 南京 西安 成都 杭州 武汉 苏州 天津 重庆 青岛 大连 厦门 昆明"),
    ),
    Family(
        "Arabic",
        "اكتب فقرة قصيرة عن مدينة {} وعن تاريخها وأهم المعالم التي يزورها الناس فيها كل عام.",
        _parts("القاهرة بغداد دمشق بيروت تونس الرباط عمان الخرطوم الدوحة مسقط صنعاء طرابلس"),
    ),
    Family(
        "Cyrillic",
        "Расскажи коротко, как правильно выбрать {} и на что нужно смотреть в магазине в первую"
        " очередь.",
        _parts("телефон велосипед холодильник чемодан ковёр диван самовар пылесос рюкзак"),
    ),
    Family(
        "Hindi",
        "कृपया {} की राजधानी, उसकी भाषा और उसके इतिहास के बारे में एक छोटा अनुच्छेद लिखिए।",
        _parts("भारत नेपाल जापान चीन रूस मिस्र केन्या ब्राज़ील फ्रांस जर्मनी इटली स्पेन"),
    ),
)
_NUMBER = re.compile(r"(?<![\w.,:/-])([0-9]{1,4})(?![\w:/-]|[.,][0-9])")
_NAME = re.compile(r"(?<=[a-z,] )([A-Z][a-z]{3,})\b")
_NAME_AMONG_CAPITALS = re.compile(r"(?<!\S)[a-z]+ ([A-Z][a-z]{3,})(?= [a-z])")
_WORD = re.compile(r"\w+")
_CAPITALS = 0.4  # share of words with one, from which on it may be a title


def near_misses(
    passages: Sequence[str], num_items: int, rng: random.Random
) -> Iterator[tuple[str, str]]:
    """Yield (form, text): up to `num_items` of each family, and `passages` changed in one place."""
    for family in _FAMILIES:
        chosen = rng.sample(family.fillings, min(num_items, len(family.fillings)))
        for filling in chosen:
            text = family.template.replace("{0}", filling).replace("{}", filling)
            yield FORM + family.form, text
    for passage in passages:
        for form, changed in (
            ("a passage, other number", _with_other_number(passage, rng)),
            ("a passage, other name", _with_other_name(passage, rng)),
        ):
            if changed:
                yield FORM + form, changed


def _with_other_number(passage: str, rng: random.Random) -> str:
    """Return the passage with another number in one place; empty if it has none."""
    return _changed(passage, list(_NUMBER.finditer(passage)), _NUMBERS, rng)


def _with_other_name(passage: str, rng: random.Random) -> str:
    """Return the passage with another name in one place; empty if it has none.

    A name has a capital wherever it stands. In titles other words have one too: there it stands
    between words that have none.
    """
    words = [word for word in passage.split() if word[0].isalpha()]
    is_title = sum(word[0].isupper() for word in words) >= _CAPITALS * len(words)
    small = set(_WORD.findall(passage))
    names = [
        place
        for place in (_NAME_AMONG_CAPITALS if is_title else _NAME).finditer(passage)
        if is_content(word := place[1].lower()) and word not in small
    ]
    return _changed(passage, names, _PLACES, rng)


def _changed(
    passage: str, places: Sequence[re.Match[str]], others: Sequence[str], rng: random.Random
) -> str:
    if not places:
        return ""
    place = rng.choice(places)
    new = rng.choice([other for other in others if other != place[1]])
    return passage[: place.start(1)] + new + passage[place.end(1) :]
