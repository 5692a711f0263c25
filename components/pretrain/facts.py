"""What is known of a model that somebody made: shown on the cards of all that is made of it."""

import re
from pathlib import Path
from typing import Any

import yaml

from components.pretrain.model_files import ModelFiles

_FRONT_MATTER = re.compile(r"\A---\n(.*?)\n---", re.DOTALL)
_NOT_STATED = "not stated"


def facts_of(folder: Path, files: ModelFiles, metadata: dict[str, Any]) -> dict[str, Any]:
    """Return what the files of an adopted model say; `metadata` is that of a GGUF file."""
    from components.lib.models.config import context_length, end_ids, of_text, raw_config
    from components.lib.models.folders import load_tokenizer

    config, tokenizer = raw_config(folder), load_tokenizer(folder)
    names: list[str] = config.get("architectures") or [config["model_type"]]
    token = tokenizer.convert_ids_to_tokens
    return {
        "source": files.source,
        "revision": files.revision,
        "content": files.fingerprint,
        "architecture": names[0],
        "context": context_length(config),
        "vocabulary": of_text(config)["vocab_size"],
        "tokens": len(tokenizer),
        "begin": tokenizer.bos_token,
        "ends": [token(each) for each in sorted(end_ids(folder)) if each < len(tokenizer)],
        "padding": tokenizer.pad_token,
        "licence": licence(files, config, metadata),
    }


def licence(files: ModelFiles, config: dict[str, Any], metadata: dict[str, Any]) -> str:
    """Return the licence that a config, a GGUF file or the README beside a model states."""
    readme = files.path / "README.md"
    found = config.get("license") or metadata.get("general.license")
    if not found and readme.is_file():
        header = _FRONT_MATTER.match(readme.read_text("utf-8", errors="replace"))
        said = _parsed(header[1]) if header else {}
        found = said.get("license_name") or said.get("license")
    return str(found) if found else _NOT_STATED


def _parsed(header: str) -> dict[str, Any]:
    try:
        found = yaml.safe_load(header)
    except yaml.YAMLError:
        return {}
    return found if isinstance(found, dict) else {}
