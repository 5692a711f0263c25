"""Is a GGUF file the model that it was made of: read back, loaded by llama.cpp, and compared."""

import importlib
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from components.compress.gguf.export import GGUFType, template_of, tensors
from components.compress.gguf.tokenizer import check_ids
from components.lib.inference.llama.gguf_model import LlamaCppModel

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from components.lib.inference.torch_model import TorchModel

_BLOCK: Final = 32
_STEPS: Final = {"Q8_0": 127, "Q5_1": 31, "Q5_0": 16, "Q4_1": 15, "Q4_0": 8}
"""Steps in the largest weight of a block, or (Q4_1, Q5_1) in the range of a block."""
_RANGES: Final = ("Q4_1", "Q5_1")
_MAX_DISAGREEMENT: Final = {"f16": 0.02, "q8_0": 0.05, "q5": 0.1, "q4": 0.2}  # of a token's nats
_MIN_SAME_CHOICE: Final = 0.5
_ROWS, _LENGTH = 2, 256  # sequences of the comparison, and their most tokens
_SHORTEST, _EVERY = 4, 4  # tokens of prompts that are continued by one
_TEXT: Final = (
    "The state of the Union is the message that the president sends to the congress once a year. "
    "It is the custom of the house to hear him in person, and the people of all the states listen "
    "to what he has to say about the work that was done, and about the work that is still to do."
)


class Agreement(NamedTuple):
    """How a file's model compares with the original."""

    disagreement: float
    """Mean difference of a token's nats, as a share of the original's, on random ids."""
    same_choice: float
    """Share of beginnings of a text after which both find the same token the likeliest."""


def check_tensors(file: Path, model: "PreTrainedModel", quantization: GGUFType) -> dict[str, int]:
    """Read a file back; return how many tensors it has of each type.

    Raises:
        ValueError: a weight is missing, of another type than it should be, or further from the
            original than a step of its quantization.
    """
    gguf: Any = importlib.import_module("gguf")
    stored = {tensor.name: tensor for tensor in gguf.GGUFReader(file).tensors}
    counts = Counter[str]()
    for name, value, kind in tensors(model, quantization):
        found = stored.pop(name, None)
        if found is None or found.tensor_type.name != kind:
            said = "missing" if found is None else found.tensor_type.name
            raise ValueError(f"{file}: the weight {name} should be {kind}, and it is {said}.")
        read = gguf.dequantize(found.data, found.tensor_type).reshape(value.shape)
        if not bool((np.abs(read - value) <= _bound(value, kind)).all()):
            raise ValueError(
                f"{file}: the weight {name} read back from {kind} is further from the model's "
                "than one step of its quantization. Install the versions of constraints.txt."
            )
        counts[kind] += 1
    if stored:
        raise ValueError(f"{file} has weights that the model has not: {sorted(stored)}.")
    return dict(sorted(counts.items()))


def _bound(value: NDArray[np.float32], kind: str) -> NDArray[np.float32]:
    """Return how far each weight may be off: a step, and what float16 leaves of scales."""
    if kind == "F32":
        return np.zeros_like(value)
    if kind == "F16":
        return (np.abs(value) * 2.0**-10 + 2.0**-24).astype(np.float32)
    blocks = value.reshape(-1, _BLOCK)
    largest = np.abs(blocks).max(axis=1, keepdims=True)
    width = np.ptp(blocks, axis=1, keepdims=True) if kind in _RANGES else largest
    bound = 1.01 * width / _STEPS[kind] + 2.0**-10 * largest + 2.0**-20
    return np.broadcast_to(bound, blocks.shape).reshape(value.shape)


def check_reading(
    exported: LlamaCppModel, tokenizer: "PreTrainedTokenizerFast", ends: frozenset[int]
) -> None:
    """Check that llama.cpp reads text as the tokenizer does and ends where the model does.

    Raises:
        ValueError: it does not.
    """
    check_ids(exported.file, tokenizer, [template_of(tokenizer) or ""])
    if missing := sorted(ends - exported.end_ids):
        names = tokenizer.convert_ids_to_tokens(missing)
        raise ValueError(
            f"llama.cpp would not stop at {names}, which end an answer of this model. Name one "
            "token alone in eos_token_id of generation_config.json."
        )


def compare(
    original: "TorchModel",
    exported: LlamaCppModel,
    quantization: GGUFType,
    tokenizer: "PreTrainedTokenizerFast",
) -> Agreement:
    """Hold a file's model against the original: nats of random ids, next tokens of a text.

    Raises:
        ValueError: it computes something else.
    """
    length = min(exported.context_length, _LENGTH)
    ids = np.random.default_rng(0).integers(exported.vocab_size, size=(_ROWS, length + 1))
    before = original.negative_log_likelihood(ids)
    after = exported.negative_log_likelihood(ids)
    disagreement = float(np.abs(after - before).mean() / before.mean())
    text = tokenizer.encode(_TEXT, add_special_tokens=False)[: length - 1]
    prompts = [text[: end + 1] for end in range(min(_SHORTEST, len(text) - 1), len(text), _EVERY)]
    chosen = [model.generate(prompts, max_new_tokens=1) for model in (original, exported)]
    same = float(np.mean([a == b for a, b in zip(*chosen, strict=True)]))
    allowed = next(v for name, v in _MAX_DISAGREEMENT.items() if quantization.startswith(name))
    if not disagreement <= allowed or same < _MIN_SAME_CHOICE:
        raise ValueError(
            f"The GGUF export ({quantization}) does not compute what the model does: its nats "
            f"differ by {disagreement:.1%} a token on random ids, and it chooses the same next "
            f"token after {same:.0%} of the beginnings of a text. Take more bits, or "
            "export to ONNX."
        )
    return Agreement(disagreement, same)
