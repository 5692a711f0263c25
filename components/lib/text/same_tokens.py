"""Whether two tokenizers have the same tokens, so that a model of one reads the ids of another."""

from pathlib import Path

from tokenizers import Tokenizer


def same_tokens(one: Path, other: Path) -> str | None:
    """Return how the tokens of the tokenizers in two folders differ, None if they do not.

    How text is cut into them may differ: an id means the same to both.
    """
    left, right = (_tokens(folder) for folder in (one, other))
    differing = sorted(
        index for index in left.keys() | right.keys() if _differs(left, right, index)
    )
    if not differing:
        return None
    first = differing[0]
    said = f"token {first} is {left.get(first)!r} in the one and {right.get(first)!r} in the other"
    return f"{len(differing)} of {len(left | right)} tokens differ: {said}"


def _tokens(folder: Path) -> dict[int, str]:
    vocabulary = Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab()
    return {index: token for token, index in vocabulary.items()}


def _differs(left: dict[int, str], right: dict[int, str], index: int) -> bool:
    return left.get(index) != right.get(index)
