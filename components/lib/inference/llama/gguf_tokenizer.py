"""The tokenizer inside a GGUF file, written out once in Hugging Face layout."""

import hashlib
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from components.core.settings import settings


def tokenizer_folder(file: Path) -> Path:
    """Return a folder with the tokenizer of a GGUF file; it is made at the first call.

    Raises:
        ValueError: transformers cannot read it.
    """
    state = file.stat()
    name = f"{file.resolve()} {state.st_size} {state.st_mtime_ns}"
    key = hashlib.sha256(name.encode()).hexdigest()[:16]
    folder = settings().home.resolve() / "serving" / "tokenizers" / key
    if not (folder / "tokenizer.json").is_file():
        _write(file, folder)
    return folder


def context_length(file: Path) -> int:
    """Return the longest context that a GGUF file declares.

    Raises:
        ValueError: it is no GGUF file, or declares none.
    """
    from components.lib.models.gguf import read_metadata

    metadata = read_metadata(file)
    found: Any = metadata.get(f"{metadata.get('general.architecture')}.context_length")
    if found is None:
        raise ValueError(f"{file} declares no context length.")
    return int(found)


def _write(file: Path, folder: Path) -> None:
    from transformers import AutoTokenizer

    from components.lib.models.gguf import read_metadata

    read_metadata(file)  # it refuses a file that is cut short in its own words
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder.parent) as scratch:
        made = Path(scratch) / "made"
        try:
            tokenizer: Any = AutoTokenizer.from_pretrained(
                file.parent, gguf_file=file.name, local_files_only=True
            )
            tokenizer.save_pretrained(made)
        except Exception as error:  # each kind of tokenizer fails in its own way
            raise ValueError(
                f"transformers cannot read the tokenizer in {file}: {error}"
            ) from error
        if not folder.exists():
            made.rename(folder)
