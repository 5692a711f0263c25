"""Text to token ids, at speed: a fast encoder serves for as long as it gives the saved ids.

`tokenizers` is what the saved tokenizer means. `fastokens` gives the same ids some thirty times as
fast, and is compared with it on a sample wherever it is used.
"""

import json
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Encoded(NamedTuple):
    """The tokens of some texts."""

    ids: "NDArray[np.uint32]"
    """Those of all texts, one after the other."""
    lengths: "NDArray[np.int64]"
    """Tokens of each text."""


Encode = Callable[[Sequence[str]], Encoded]
"""What looks like a special token is encoded as text, and none is added."""

_BATCH_CHARACTERS = 1 << 20  # an encoding of `tokenizers` takes 100 bytes a token and more
_SAMPLE_TEXTS, _SAMPLE_CHARACTERS = 16, 1024

PROBES = (
    "",
    " ",
    "In 1790, $12.50 and 3.14e-10; ½ ² ١٢٣ Ⅷ \U0001d7d8 ①a1 2b 3's 4 's",
    "don't 'VE 've we'll I'm it's ''s 'tis x_y CamelCase HTTPServer2Go",
    "  two  spaces \r\n\t\n\n\x0b\x0c  x\u00a0\u3000\u2003y\u2028z\u2029\u0085 \n ",
    "\x00\x01\x07\x1b\x7f\x9f\ufeff\u200b\u200d\u2060\ufffd\ufffe\ue000",
    "e\u0301 n\u0303o A\u030a\u0327 ﬁ Å \u1112\u1161\u11ab Z\u0351\u036b\u0343\u036a\u0302",
    "漢字かなカナ한국어 العربية हिन्दी ไทย ελληνικά кириллица עברית ქართული",
    "🏳️‍🌈👩‍👩‍👧‍👦 👍🏽 🇪🇺 😀😀 \U0010ffff",
    "a" * 1000 + " " * 300 + "." * 300 + "漢" * 200 + "\n" * 100,
    "<|endoftext|> <|pad|><s></s> [UNK] [CLS][SEP] <unk> <0x41> <|im_start|>user ▁ Ġ Ċ ## ##a",
    "def f(x: int) -> str:\n    return f'{x!r}'  # https://a.example/?b=c&d=%20\n",
)
# What PCRE2's Unicode tables class otherwise than those of `tokenizers`, found by encoding every
# code point there is (fastokens 0.3.5, tokenizers 0.23.3).
_DOUBTFUL = "\u180e" + "".join(map(chr, [*range(0x11DE0, 0x11DEA), *range(0x16FF4, 0x16FF7)]))
# `Digits(individual_digits=True)` and then `ByteLevel`, as one pattern, which is three times as
# fast: there a digit ends the text that the pattern sees.
_DIGITS_THEN_WORDS = (
    r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+|\s+(?=\p{N})|\s+(?!\S)|\s+"
)


def saved_encoder(content: str) -> Encode:
    """Return the encoder of a `tokenizer.json`'s content by `tokenizers`."""
    import numpy as np
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(content)
    tokenizer.encode_special_tokens = True
    tokenizer.no_truncation()
    tokenizer.no_padding()

    def encode(texts: Sequence[str]) -> Encoded:
        arrays: list[NDArray[np.uint32]] = [np.empty(0, np.uint32)]
        for batch in _batches(texts):
            encodings = tokenizer.encode_batch(batch, add_special_tokens=False)
            arrays += [np.array(encoding.ids, np.uint32) for encoding in encodings]
        lengths = np.array([len(array) for array in arrays[1:]], np.int64)
        return Encoded(np.concatenate(arrays), lengths)

    return encode


def fast_encoder(content: str, saved: Encode) -> Encode:
    """Return the encoder of a `tokenizer.json`'s content by `fastokens`.

    A text with a character that it is known to read otherwise goes through `saved`.

    Raises:
        ImportError: it is not installed.
        ValueError: it does not support this kind of tokenizer.
    """
    import numpy as np
    from fastokens import Tokenizer

    tokenizer = Tokenizer.from_json_str(_as_one_pattern(content))

    def encode(texts: Sequence[str]) -> Encoded:
        certain = [text if _is_certain(text) else "" for text in texts]
        flat, offsets = tokenizer.encode_batch_flat(certain, split_special_tokens=True)
        ids = np.frombuffer(flat, np.uint32)
        lengths = np.diff(np.frombuffer(offsets, np.uint64).astype(np.int64))
        doubtful = [n for n, text in enumerate(texts) if text and not certain[n]]
        found = Encoded(ids, lengths)
        return _put_in(found, doubtful, saved([texts[n] for n in doubtful])) if doubtful else found

    return encode


class Encoders(NamedTuple):
    """How a saved tokenizer can be run."""

    saved: Encode
    """By `tokenizers`: slow, and right."""
    fast: Encode | None
    """By `fastokens`, with the same ids for `PROBES`."""
    refused: str = ""
    """Why there is no fast one."""


@lru_cache(maxsize=1)  # a worker takes one piece after the other; a large vocabulary loads seconds
def encoders(content: str) -> Encoders:
    """Return the encoders of a `tokenizer.json`'s content."""
    saved = saved_encoder(content)
    try:
        fast = fast_encoder(content, saved)
        misread = difference(fast, saved, PROBES)
    except ImportError:
        return Encoders(saved, None, "it is not installed")
    except ValueError as error:
        return Encoders(saved, None, f"it does not take this tokenizer: {error}")
    return Encoders(saved, None, f"it misreads {misread}") if misread else Encoders(saved, fast)


def encode_proved(content: str, texts: Sequence[str]) -> tuple[Encoded, str]:
    """Encode by the fast encoder if it reads a sample of `texts` right, else by the saved one.

    The string is empty, or says why the fast one was refused.
    """
    saved, fast, refused = encoders(content)
    if fast is None:
        return saved(texts), refused
    if misread := difference(fast, saved, sample_of(texts)):
        return saved(texts), f"it misreads {misread}"
    return fast(texts), ""


def difference(one: Encode, other: Encode, texts: Sequence[str]) -> str | None:
    """Return the first text that two encoders read differently, in short, or None."""
    import numpy as np

    ours, theirs = one(texts), other(texts)
    for number, (a, b) in enumerate(zip(_rows(ours), _rows(theirs), strict=True)):
        if not np.array_equal(a, b):
            return repr(texts[number][:80])
    return None


def sample_of(texts: Sequence[str]) -> list[str]:
    """Return stretches of some texts, taken evenly."""
    step = max(1, len(texts) // _SAMPLE_TEXTS)
    stretches: list[str] = []
    for number, text in enumerate(texts[::step][:_SAMPLE_TEXTS]):
        room = max(0, len(text) - _SAMPLE_CHARACTERS)
        start = room * number // _SAMPLE_TEXTS  # not the beginning of each
        stretches.append(text[start : start + _SAMPLE_CHARACTERS])
    return stretches


def _batches(texts: Sequence[str]) -> list[list[str]]:
    batches: list[list[str]] = []
    room = 0
    for text in texts:
        if room <= 0:
            batches.append([])
            room = _BATCH_CHARACTERS
        batches[-1].append(text)
        room -= len(text)
    return batches


def _rows(encoded: Encoded) -> "list[NDArray[np.uint32]]":
    import numpy as np

    return np.split(encoded.ids, np.cumsum(encoded.lengths)[:-1])


def _put_in(encoded: Encoded, places: list[int], rows: Encoded) -> Encoded:
    """Return `encoded` with the tokens of the texts at `places`, which have none, filled in."""
    import numpy as np

    starts = np.cumsum(encoded.lengths) - encoded.lengths
    ids = np.insert(encoded.ids, np.repeat(starts[places], rows.lengths), rows.ids)
    lengths = encoded.lengths.copy()
    lengths[places] = rows.lengths
    return Encoded(ids, lengths)


def _is_certain(text: str) -> bool:
    return text.isascii() or not any(character in text for character in _DOUBTFUL)


def _as_one_pattern(content: str) -> str:
    """Return the tokenizer with our own two steps before the model written as one pattern."""
    tokenizer: dict[str, Any] = json.loads(content)
    steps = (tokenizer.get("pre_tokenizer") or {}).get("pretokenizers") or [{}]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    if steps != [
        {"type": "Digits", "individual_digits": True},
        {**byte_level, "use_regex": True},
    ]:
        return content
    pattern = {"Regex": _DIGITS_THEN_WORDS}
    words = {"type": "Split", "pattern": pattern, "behavior": "Isolated", "invert": False}
    steps[:] = [words, {**byte_level, "use_regex": False}]
    return json.dumps(tokenizer)
