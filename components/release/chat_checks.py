"""Whether what is shipped asks, and stops, as it was taught to: its chat template and its ends."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.lib.models.config import end_ids, ids
from components.lib.text.chat import answer_end, render
from components.release.check import Check
from components.release.shipped import Shipped

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

_SYSTEM = {"role": "system", "content": "Answer in one word."}
_ASKED = {"role": "user", "content": "What is 2 + 3?"}
_ANSWER = {"role": "assistant", "content": "5"}
_AGAIN = {"role": "user", "content": "Sort: 5 2 9\nThen say <b>why</b>."}
_DIALOGUES: tuple[tuple[Mapping[str, str], ...], ...] = (
    (_ASKED,),
    (_ASKED, _ANSWER),
    (_ASKED, _ANSWER, _AGAIN),
    (_SYSTEM, _ASKED, _ANSWER),
    (_ASKED, _ANSWER, _AGAIN, _ANSWER),
)
_SHOWN = 40  # characters of two texts from where they differ


def chat_checks(shipped: Shipped) -> Iterator[Check]:
    """Yield, for each shipped model, how many fixed dialogues and end tokens are not as taught."""
    from components.lib.models.folders import load_tokenizer

    taught = load_tokenizer(shipped.base.path)
    for name, part in shipped.parts():
        yield _template_check(name, taught, load_tokenizer(part.path))
        if taught.chat_template is not None:
            yield _end_check(name, taught, shipped.base.path, part.path)


def _template_check(
    name: str, taught: "PreTrainedTokenizerFast", shipped: "PreTrainedTokenizerFast"
) -> Check:
    pairs = [(_rendered(taught, each), _rendered(shipped, each)) for each in _DIALOGUES]
    wrong = [pair for pair in pairs if pair[0] != pair[1]]
    return Check(
        name=f"chat template: dialogues of {len(_DIALOGUES)} that {name} reads otherwise than it "
        "was taught",
        value=len(wrong),
        threshold=0,
        detail=_difference(*wrong[0]) if wrong else "",
    )


def _rendered(tokenizer: "PreTrainedTokenizerFast", dialogue: Any) -> tuple[str, list[int]]:
    """Return a dialogue as text and as token ids; none where the template refuses it."""
    try:
        text = render(tokenizer, dialogue, is_open=dialogue[-1]["role"] == "user")
    except ValueError:
        return "", []
    return text, tokenizer.encode(text, add_special_tokens=False)


def _difference(taught: tuple[str, list[int]], shipped: tuple[str, list[int]]) -> str:
    if taught[0] == shipped[0]:
        return f"the same text, as {len(shipped[1])} tokens in place of {len(taught[1])}"
    pairs = zip(taught[0], shipped[0], strict=False)
    start = next(
        (n for n, (a, b) in enumerate(pairs) if a != b), min(len(taught[0]), len(shipped[0]))
    )
    found, expected = (text[start:][:_SHOWN] for text in (shipped[0], taught[0]))
    return f"after {start} characters {found!r} in place of {expected!r}"


def _end_check(name: str, taught: "PreTrainedTokenizerFast", base: Path, shipped: Path) -> Check:
    """Hold the ids at which a shipped model stops against the one that ended answers.

    It must stop there, and nowhere that the base does not.
    """
    end, known = answer_end(taught), end_ids(base)
    stops = _stops(shipped)
    wrong = ({end} - stops) | (stops - known - {end})
    tokens = ", ".join(str(each) for each in taught.convert_ids_to_tokens(sorted(stops)))
    return Check(
        name=f"end tokens: those at which {name} stops otherwise than it was taught",
        value=len(wrong),
        threshold=0,
        detail=f"answers end with {taught.convert_ids_to_tokens(end)}, it stops at "
        f"{tokens or 'none'}"
        if wrong
        else "",
    )


def _stops(folder: Path) -> frozenset[int]:
    """Return the ids at which those stop who load a folder: a generation config goes first."""
    if (folder / "genai_config.json").is_file():
        return ids(_read(folder / "genai_config.json")["model"].get("eos_token_id"))
    if (folder / "model.gguf").is_file():
        from components.lib.models.gguf import read_metadata

        # llama.cpp stops at more, which it takes for ends by their names: no word of the file
        said = read_metadata(folder / "model.gguf")
        return ids(*(said.get(f"tokenizer.ggml.{kind}_token_id") for kind in ("eos", "eot")))
    generation = folder / "generation_config.json"
    said = _read(generation) if generation.is_file() else {}
    return ids(said.get("eos_token_id")) or end_ids(folder)


def _read(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text("utf-8"))
