"""Adopt: a model that somebody made -> a checkpoint that a recipe can begin with."""

import json
from pathlib import Path
from typing import Any, ClassVar

from components.core.artifacts.data import Vocabulary
from components.core.artifacts.models import Checkpoint
from components.core.component import Component
from components.core.files import write_json
from components.pretrain.facts import facts_of
from components.pretrain.model_files import ModelFiles

_VOCABULARIES = (
    "vocab.json",
    "vocab.txt",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
)


class Adopt(Component[ModelFiles, Checkpoint]):
    """Take a model in: its files are copied, a GGUF file is unpacked, and the model is tried.

    What comes along stays as it is, byte by byte: every file of the tokenizer, the chat template
    and the generation config. A model without a chat template gets the platform's, spelled in
    tokens that it has; `eos_token_id` of `generation_config.json` gains the token that ends an
    answer where it lacks that. Writes a model in Hugging Face layout, and in `base.json` what is
    known of it.
    """

    version: ClassVar[str] = "2.0.0"

    def run(self, inputs: ModelFiles, out: Path) -> Checkpoint:
        """Copy or unpack the files, then load the model once and try it.

        Raises:
            ValueError: the files changed since they were named, are damaged or incomplete, or hold
                a model that no stage can use.
        """
        from components.lib.models.companions import BASE_FACTS
        from components.lib.models.config import context_length, raw_config, reads
        from components.lib.models.folders import describe, load_model, num_parameters
        from components.lib.models.proof import hides_documents, require_decoder

        metadata = inputs.take(out)
        config = raw_config(out)
        kind = reads(config)
        if reason := unusable(config):
            raise ValueError(f"{inputs.named} cannot be used: {reason}")
        template = _with_tokenizer(out, inputs.named)
        model: Any = load_model(out)
        rows = model.get_input_embeddings().weight.shape[0]
        if (size := _vocab_size(out)) > rows:
            raise ValueError(
                f"The tokenizer of {inputs.named} has {size:,} ids, and its model knows {rows:,}: "
                "they do not belong together."
            )
        packs = False
        if kind == "decoder":
            require_decoder(model)
            packs = hides_documents(model)
            _with_end_ids(out)
        facts = facts_of(out, inputs, metadata)
        known = {"parameters": num_parameters(model), "chat_template": template, "packs": packs}
        write_json(out / BASE_FACTS, facts | known)
        return describe(out, context_length(model.config.to_dict()))


def unusable(config: dict[str, Any]) -> str | None:
    """Return why no stage can use a model with this config, None if one can."""
    from components.lib.models.config import reads

    kind, names = reads(config), ", ".join(config.get("architectures") or ["no class"])
    if kind == "encoder-decoder":
        return f"{names} is an encoder-decoder, and the stages continue one text."
    if kind == "other":
        return f"its config names {names}, which has no head that continues text or fills it in."
    return None


def vocabulary_of(model: Checkpoint) -> Vocabulary:
    """Return the tokenizer that lies beside a model."""
    return Vocabulary(
        path=model.path, fingerprint=model.fingerprint, vocab_size=_vocab_size(model.path)
    )


def _vocab_size(folder: Path) -> int:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    return max(tokenizer.get_vocab().values()) + 1


def _with_tokenizer(out: Path, named: str) -> str:
    """Make sure that there is a tokenizer with a chat template; return whose template it is."""
    from transformers import AutoTokenizer

    from components.lib.models.folders import load_tokenizer
    from components.lib.text.chat import TEXT_TEMPLATE, decode

    if not (out / "tokenizer.json").is_file():
        try:
            if not any((out / name).is_file() for name in _VOCABULARIES):
                raise FileNotFoundError("no file of a vocabulary")  # of none it makes an empty one
            made: Any = AutoTokenizer.from_pretrained(
                out, trust_remote_code=False, local_files_only=True
            )
            made.backend_tokenizer.save(str(out / "tokenizer.json"))
        except Exception as error:  # each kind of vocabulary fails in its own way
            raise ValueError(
                f"{named} has no tokenizer.json, and none can be made of its files. Save one there "
                "with `AutoTokenizer.from_pretrained(folder).save_pretrained(folder)`."
            ) from error
    try:
        tokenizer = load_tokenizer(out)
    except Exception as error:  # tokenizers raises no narrower one
        raise ValueError(f"The tokenizer.json of {named} is damaged ({error}).") from error
    if tokenizer.chat_template is not None:
        return "its own"
    spelled = "<|user|>a<|assistant|>b"
    ids = tokenizer.encode(spelled, add_special_tokens=False)
    is_back = decode(tokenizer, ids).strip() == spelled
    if not is_back or tokenizer.eos_token_id is None:
        return "none"
    (out / "chat_template.jinja").write_text(TEXT_TEMPLATE, encoding="utf-8")
    return "the platform's, spelled as text"


def _with_end_ids(out: Path) -> None:
    """Let generation stop at what ends an answer: a model whose end is not told never stops."""
    from components.lib.models.config import end_ids, ids
    from components.lib.models.folders import load_tokenizer
    from components.lib.text.chat import answer_end

    tokenizer, known = load_tokenizer(out), end_ids(out)
    wanted = {answer_end(tokenizer)} if tokenizer.chat_template is not None else set[int]()
    wanted |= set() if known else ids(tokenizer.eos_token_id)
    if wanted <= known:
        return
    file = out / "generation_config.json"
    said = json.loads(file.read_text("utf-8")) if file.is_file() else {}
    write_json(file, said | {"eos_token_id": sorted(known | wanted)})
