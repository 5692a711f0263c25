"""What a GGUF file says of a byte-level BPE tokenizer, and the proof that llama.cpp reads it so.

llama.cpp does not take a tokenizer's pattern from the file but knows patterns by name, and a wrong
name gives other ids without a word. So the name is found by the pattern, and then the ids of both
are compared.
"""

import json
import re
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from components.lib.inference.llama.llama_cpp import LlamaFile

NORMAL: Final = 1
CONTROL: Final = 3
USER_DEFINED: Final = 4
UNUSED: Final = 5

_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|%s| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_BYTES = {"type": "ByteLevel", "add_prefix_space": False}
_PATTERNS: Final[dict[str, list[dict[str, Any]]]] = {  # llama.cpp's name: the steps in tokenizers
    "gpt-2": [{**_BYTES, "use_regex": True}],
    "smollm": [{"type": "Digits", "individual_digits": True}, {**_BYTES, "use_regex": True}],
    "llama-bpe": [
        {"type": "Split", "pattern": _WORDS % r"\p{N}{1,3}"},
        {**_BYTES, "use_regex": False},
    ],
    "qwen2": [{"type": "Split", "pattern": _WORDS % r"\p{N}"}, {**_BYTES, "use_regex": False}],
}

PROBES: Final = (
    "The quick brown fox doesn't jump; it's we'll they'VE I'D over 13 lazy dogs.",
    "In 1790, $12.50 and 3.14e-10; \u00bd \u00b2 \u0661\u0662\u0663 \u2167 a1 2b 1234567 3's",
    "  two  spaces \r\n\t\n\n\x0b\x0c  x\u00a0\u3000\u2003y \n ",
    "def f(x: int) -> str:\n    return f'{x!r}'  # https://a.example/?b=c&d=%20\n\n\n",
    "\u6f22\u5b57\u304b\u306a\ud55c\uad6d\uc5b4 \u0627\u0644\u0639\u0631\u0628\u064a\u0629 "
    "\u0939\u093f\u0928\u094d\u0926\u0940 \u0e44\u0e17\u0e22 \u043a\u0438\u0440\u0438\u043b",
    "\U0001f3f3\ufe0f\u200d\U0001f308 \U0001f44d\U0001f3fd \U0001f600\U0001f600 \u00e9\u00e8",
    "e\u0301 n\u0303o A\u030a \ufb01 \x01\x07\x1b\x7f\ufeff\u200b\ufffd",
    "a" * 200 + " " * 100 + "." * 100 + "\n" * 50 + "x",
)
"""Texts that tokenizers are known to cut in different ways."""


class GGUFTokenizer(NamedTuple):
    """The keys of `tokenizer.ggml` for a tokenizer."""

    pattern: str
    """Name by which llama.cpp knows how the text is cut."""
    tokens: list[str]
    """By id, as many as the model's embedding has rows."""
    kinds: list[int]
    """Of each token, as llama.cpp numbers them."""
    merges: list[str]
    """The first is the most frequent."""


def read_tokenizer(folder: Path, num_rows: int) -> GGUFTokenizer:
    """Read the tokenizer of a model whose embedding has `num_rows` rows.

    Raises:
        ValueError: llama.cpp does not know how it cuts text, or it has more ids than rows.
    """
    said = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    pattern = _pattern_of(said, folder)
    model = said["model"]
    tokens = {id: token for token, id in model["vocab"].items()}
    kinds = dict.fromkeys(tokens, NORMAL)
    for added in said.get("added_tokens") or []:
        tokens[added["id"]] = added["content"]
        kinds[added["id"]] = CONTROL if added["special"] else USER_DEFINED
    if (last := max(tokens)) >= num_rows:
        raise ValueError(
            f"The tokenizer of {folder} has the id {last}, and its model {num_rows} rows: they do "
            "not belong together."
        )
    ids = range(num_rows)
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
    return GGUFTokenizer(
        pattern,
        [tokens.get(id, f"[PAD{id}]") for id in ids],
        [kinds.get(id, UNUSED) for id in ids],
        merges,
    )


def _pattern_of(said: dict[str, Any], folder: Path) -> str:
    model = said["model"]
    if model["type"] != "BPE" or model.get("byte_fallback"):
        raise ValueError(
            f"The tokenizer of {folder} is of the kind {model['type']}, and the GGUF export knows "
            "byte-level BPE. Train a vocabulary of the kind bpe, or export to ONNX."
        )
    normalizer = said.get("normalizer")
    if normalizer is not None and normalizer.get("type") != "NFC":
        raise ValueError(
            f"The tokenizer of {folder} normalizes text by {normalizer.get('type')}, which "
            "llama.cpp does not. Export to ONNX."
        )
    steps = said.get("pre_tokenizer") or {}
    steps = [_in_short(step) for step in steps.get("pretokenizers", [steps])]
    for name, known in _PATTERNS.items():
        if steps == known:
            return name
    raise ValueError(
        f"The tokenizer of {folder} cuts text by {steps}, a pattern that the GGUF export has no "
        f"name of; it knows those of {', '.join(_PATTERNS)}. Export to ONNX."
    )


def _in_short(step: dict[str, Any]) -> dict[str, Any]:
    """Return what of a step changes the ids."""
    kind = step.get("type")
    if kind == "Digits":
        return {"type": kind, "individual_digits": step["individual_digits"]}
    if kind == "Split" and step["behavior"] == "Isolated" and not step["invert"]:
        return {"type": kind, "pattern": step["pattern"].get("Regex")}
    if kind == "ByteLevel":
        return {
            "type": kind,
            "add_prefix_space": step["add_prefix_space"],
            "use_regex": step.get("use_regex", True),
        }
    return step


def check_ids(
    loaded: "LlamaFile", tokenizer: "PreTrainedTokenizerFast", texts: Sequence[str]
) -> None:
    """Hold llama.cpp's ids of `PROBES` and of more `texts` against the tokenizer's.

    What looks like a special token is text once, and special once. A tokenizer that normalizes to
    NFC is compared on texts in NFC alone: llama.cpp does not normalize.

    Raises:
        ValueError: they differ.
    """
    added = tokenizer.added_tokens_decoder.values()
    framed = [f"one {token.content} two{token.content}\n" for token in added]
    inner: Any = getattr(tokenizer, "_tokenizer", None)
    is_nfc = inner is not None and inner.normalizer is not None
    for text in (*PROBES, *texts, *framed):
        probe = unicodedata.normalize("NFC", text) if is_nfc else text
        for special in (False, True):
            ours = tokenizer.encode(
                probe, add_special_tokens=False, split_special_tokens=not special
            )
            theirs = loaded.tokenize(probe, special)
            if theirs != ours:
                raise ValueError(
                    f"llama.cpp reads {_place(probe, tokenizer, ours, theirs)} The model would be "
                    "asked in other tokens than it was taught. Export to ONNX."
                )


def _place(
    text: str, tokenizer: "PreTrainedTokenizerFast", ours: list[int], theirs: list[int]
) -> str:
    """Say where two readings part."""
    pairs = enumerate(zip(ours, theirs, strict=False))
    first = next((at for at, (a, b) in pairs if a != b), min(len(ours), len(theirs)))
    shown = [
        tokenizer.convert_ids_to_tokens(ids[max(0, first - 1) : first + 3])
        for ids in (ours, theirs)
    ]
    return f"{text[:40]!r} as {shown[1]} where the tokenizer gives {shown[0]} (token {first})."


def stretches(text: str, number: int = 16, size: int = 400) -> Iterator[str]:
    """Yield stretches of a text, taken evenly, whole words each."""
    words = re.split(r"(?<=\s)(?=\S)", text)
    step = max(1, len(words) // number)
    for start in range(0, len(words), step):
        yield "".join(words[start : start + step])[:size]
