"""llama.cpp by its C interface, out of the library that the package xllamacpp ships.

The package's own interface is a server, which gives no logits of a prompt. The library beside it
exports `llama.h` of ggml-org/llama.cpp, of which the calls below have kept their form for years.
Parameters go by value in structures whose ends differ between releases, so what is passed is the
library's own defaults in more room than they take, with the first fields changed.
"""

# T = tokens read at once, V = vocabulary

import ctypes
import importlib
import weakref
from collections.abc import Sequence
from ctypes import POINTER, c_bool, c_char_p, c_float, c_int8, c_int32, c_uint32, c_void_p
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_ROOM: Final = 256  # times 8 bytes; the longest structure of parameters has some 30
_CONTEXT_DEFAULTS: Final = (512, 2048, 512, 1)  # n_ctx, n_batch, n_ubatch, n_seq_max
_MOST_AT_ONCE: Final = 512  # tokens of a batch
_TOKENS = POINTER(c_int32)


class _Parameters(ctypes.Structure):
    """`llama_model_params` or `llama_context_params`, opaque but for its beginning."""

    _fields_ = [("room", ctypes.c_uint64 * _ROOM)]


class _Batch(ctypes.Structure):
    """`llama_batch`."""

    _fields_ = [
        ("n_tokens", c_int32),
        ("token", _TOKENS),
        ("embd", POINTER(c_float)),
        ("pos", POINTER(c_int32)),
        ("n_seq_id", POINTER(c_int32)),
        ("seq_id", POINTER(POINTER(c_int32))),
        ("logits", POINTER(c_int8)),
    ]


_LOG = ctypes.CFUNCTYPE(None, ctypes.c_int, c_char_p, c_void_p)
_SIGNATURES: Final[dict[str, tuple[Any, list[Any]]]] = {
    "llama_backend_init": (None, []),
    "llama_log_set": (None, [_LOG, c_void_p]),
    "llama_model_default_params": (_Parameters, []),
    "llama_context_default_params": (_Parameters, []),
    "llama_model_load_from_file": (c_void_p, [c_char_p, _Parameters]),
    "llama_model_free": (None, [c_void_p]),
    "llama_model_get_vocab": (c_void_p, [c_void_p]),
    "llama_model_n_ctx_train": (c_int32, [c_void_p]),
    "llama_vocab_n_tokens": (c_int32, [c_void_p]),
    "llama_vocab_is_eog": (c_bool, [c_void_p, c_int32]),
    "llama_tokenize": (
        c_int32,
        [c_void_p, c_char_p, c_int32, _TOKENS, c_int32, c_bool, c_bool],
    ),
    "llama_init_from_model": (c_void_p, [c_void_p, _Parameters]),
    "llama_free": (None, [c_void_p]),
    "llama_set_n_threads": (None, [c_void_p, c_int32, c_int32]),
    "llama_n_ctx": (c_uint32, [c_void_p]),
    "llama_batch_get_one": (_Batch, [_TOKENS, c_int32]),
    "llama_decode": (c_int32, [c_void_p, _Batch]),
    "llama_get_logits": (POINTER(c_float), [c_void_p]),
    "llama_get_memory": (c_void_p, [c_void_p]),
    "llama_memory_clear": (None, [c_void_p, c_bool]),
}


@_LOG
def _say_nothing(level: int, text: bytes, data: int) -> None:
    """Take llama.cpp's log, which goes to the terminal otherwise."""


@cache
def library() -> Any:
    """Return the library, its calls declared.

    Raises:
        ValueError: xllamacpp is not installed, or one whose llama.cpp has another interface.
    """
    try:
        package: Any = importlib.import_module("xllamacpp.xllamacpp")
    except ImportError as error:
        raise ValueError(
            "Running a GGUF file takes the package xllamacpp: pip install -c constraints.txt "
            "xllamacpp."
        ) from error
    found = ctypes.CDLL(package.__file__)
    try:
        for name, (result, arguments) in _SIGNATURES.items():
            call = getattr(found, name)
            call.restype, call.argtypes = result, arguments
    except AttributeError as error:
        raise ValueError(f"This xllamacpp has another llama.cpp ({error}). {_PIN}") from error
    found.llama_log_set(_say_nothing, None)
    found.llama_backend_init()
    _check_layout(found)
    return found


_PIN = "Install the version of constraints.txt."


def _check_layout(found: Any) -> None:
    """Hold the structures against what the library itself fills in."""
    defaults = tuple(_words(found.llama_context_default_params())[: len(_CONTEXT_DEFAULTS)])
    tokens = (c_int32 * 3)(5, 6, 7)
    batch = found.llama_batch_get_one(tokens, 3)
    same = ctypes.cast(batch.token, c_void_p).value == ctypes.addressof(tokens)
    if defaults != _CONTEXT_DEFAULTS or batch.n_tokens != 3 or not same:
        raise ValueError(f"This xllamacpp lays its parameters out in another way. {_PIN}")


def _words(parameters: _Parameters) -> Any:
    """Return the structure as 32-bit numbers that can be changed in place."""
    return (c_uint32 * (2 * _ROOM)).from_buffer(parameters)


class LlamaFile:
    """A GGUF file that llama.cpp has loaded."""

    def __init__(self, file: Path) -> None:
        """Load `file`.

        Raises:
            ValueError: llama.cpp does not take it.
        """
        self._library = library()
        defaults = self._library.llama_model_default_params()
        self.model = self._library.llama_model_load_from_file(str(file).encode(), defaults)
        if not self.model:
            raise ValueError(
                f"llama.cpp does not load {file}: its architecture, its tokenizer or its tensors "
                "are not what it knows. Export the model again."
            )
        weakref.finalize(self, self._library.llama_model_free, self.model)
        self._vocabulary = self._library.llama_model_get_vocab(self.model)

    @property
    def context_length(self) -> int:
        """Longest context that the file declares, in tokens."""
        return self._library.llama_model_n_ctx_train(self.model)

    @property
    def vocab_size(self) -> int:
        """Number of ids."""
        return self._library.llama_vocab_n_tokens(self._vocabulary)

    def end_ids(self) -> frozenset[int]:
        """Return the ids that end an answer: those the file names and those known by their text."""
        ends = self._library.llama_vocab_is_eog
        return frozenset(id for id in range(self.vocab_size) if ends(self._vocabulary, id))

    def tokenize(self, text: str, special: bool, whole: bool = False) -> list[int]:
        """Return the ids of a text.

        Where `special`, what looks like a special token is one; where `whole`, what the tokenizer
        sets before every text is there.
        """
        read = text.encode()
        room = len(read) + 8  # a token stands for a byte at least, but for those that are added
        ids = (c_int32 * room)()
        number = self._library.llama_tokenize(
            self._vocabulary, read, len(read), ids, room, whole, special
        )
        assert number >= 0, "a text of more tokens than bytes"
        return list(ids[:number])


class LlamaContext:
    """One text that llama.cpp reads, with its keys and values (float16)."""

    def __init__(self, loaded: LlamaFile, num_tokens: int, num_threads: int) -> None:
        """Make room for `num_tokens`.

        Raises:
            ValueError: there is not enough memory.
        """
        self._library, self._file = library(), loaded  # the file must outlive the context
        self._at_once = min(num_tokens, _MOST_AT_ONCE)
        parameters = self._library.llama_context_default_params()
        _words(parameters)[:3] = (num_tokens, self._at_once, self._at_once)
        self._context = self._library.llama_init_from_model(loaded.model, parameters)
        if not self._context:
            raise ValueError(
                f"llama.cpp has no room for a context of {num_tokens} tokens: ask for fewer."
            )
        weakref.finalize(self, self._library.llama_free, self._context)
        self.num_tokens = self._library.llama_n_ctx(self._context)
        assert self.num_tokens >= num_tokens
        self._library.llama_set_n_threads(self._context, num_threads, num_threads)
        self._position = 0

    def forget(self) -> None:
        """Begin another text."""
        self._library.llama_memory_clear(self._library.llama_get_memory(self._context), False)
        self._position = 0

    def read(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Read on, and return the logits (V,) of the token after the last one."""
        last = np.empty((0, 0), np.float32)
        for start in range(0, len(ids), self._at_once):
            last = self._decode(ids[start : start + self._at_once], every=False)
        return last[0]

    def read_all(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Read on, and return the logits (T, V) of the token after each."""
        parts = [
            self._decode(ids[start : start + self._at_once], every=True)
            for start in range(0, len(ids), self._at_once)
        ]
        return np.concatenate(parts)

    def _decode(self, ids: Sequence[int], every: bool) -> NDArray[np.float32]:
        number = len(ids)
        owner = c_int32(0)  # the one sequence
        wanted = (c_int8 * number)(*[1 if every else 0] * (number - 1), 1)
        batch = _Batch(
            number,
            (c_int32 * number)(*ids),
            None,
            (c_int32 * number)(*range(self._position, self._position + number)),
            (c_int32 * number)(*[1] * number),
            (POINTER(c_int32) * number)(*[ctypes.pointer(owner)] * number),
            wanted,
        )
        if (failed := self._library.llama_decode(self._context, batch)) != 0:
            raise RuntimeError(f"llama.cpp stopped reading with code {failed}")
        self._position += number
        rows = number if every else 1
        logits = self._library.llama_get_logits(self._context)
        return np.ctypeslib.as_array(logits, (rows, self._file.vocab_size)).copy()
