"""ExistingVocabulary: a tokenizer that somebody made -> one that the platform can use."""

import logging
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, model_validator

from components.core.artifacts.data import Corpus, Vocabulary
from components.core.component import Component
from components.core.files import sha256
from components.data.document import read_documents
from components.data.vocabulary import save

logger = logging.getLogger(__name__)

_TOKENIZER = "tokenizer.json"
_TRIED = 200  # documents of the train split that must come back exactly


class ExistingVocabulary(Component[Corpus, Vocabulary]):
    """Take a tokenizer from a folder or the Hugging Face hub, in place of training one.

    Its ids stay as they are; special tokens of the platform that it lacks get ids after them, and
    the chat template is ours. What it puts around a text of its own accord, such as Llama's
    beginning of sequence, is taken off: documents end with the end-of-text token alone.
    """

    version: ClassVar[str] = "1.0.0"

    source: str = Field(min_length=1)
    """Folder with a `tokenizer.json`, or a name on the hub such as `openai-community/gpt2`. Where
    it is does not count for the fingerprint: what is in it does."""
    revision: str = "main"
    """On the hub: branch, tag or commit. It does not count for the fingerprint either."""
    sha256: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")
    """Of `tokenizer.json`: filled in from the file, so that a recipe keeps what it was made for."""
    may_lose_text: bool = False
    """Whether it may be one that does not give every text back, such as lower-cased WordPiece.
    Bits per byte then are an upper bound, of a text that is not quite the one that was read."""

    @model_validator(mode="before")
    @classmethod
    def _with_its_content(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("source") and not data.get("sha256"):
            file = _file(data["source"], data.get("revision", "main"))
            return {**data, "sha256": sha256(file)}
        return data

    def fingerprint(self, inputs: Corpus) -> str:
        """Return the identity of the content, wherever it lies."""
        anywhere = {"source": "anywhere", "revision": "main"}
        return super(ExistingVocabulary, self.model_copy(update=anywhere)).fingerprint(inputs)

    def run(self, inputs: Corpus, out: Path) -> Vocabulary:
        """Save the tokenizer under `out`.

        Raises:
            ValueError: the file is not what it was when the recipe was made, or it loses text.
        """
        from tokenizers import Tokenizer, processors

        from components.lib.text.chat import SPECIAL_TOKENS

        file = _file(self.source, self.revision)
        if (found := sha256(file)) != self.sha256:
            raise ValueError(
                f"{file} has sha256 {found}, but the recipe was made for {self.sha256}. "
                "Put the old file back, or leave sha256 out to take the new one."
            )
        tokenizer = Tokenizer.from_file(str(file))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        tokenizer.post_processor = processors.TemplateProcessing(single="$A", pair="$A $B:1")
        tokenizer.add_special_tokens(list(SPECIAL_TOKENS))
        save(tokenizer, out)
        size = max(tokenizer.get_vocab().values()) + 1  # there may be ids that nothing has
        self._check(inputs, out, size)
        return Vocabulary(path=out, vocab_size=size)

    def _check(self, corpus: Corpus, out: Path, size: int) -> None:
        """Refuse a tokenizer that loses text, unless it may."""
        from tokenizers import Tokenizer

        from components.lib.text.tokens import byte_lengths

        tokenizer = Tokenizer.from_file(str(out / _TOKENIZER))
        tokenizer.encode_special_tokens = True
        lengths = byte_lengths(out, size)
        for document in islice(read_documents(corpus.path / "train.jsonl"), _TRIED):
            ids = tokenizer.encode(document.text, add_special_tokens=False).ids
            is_back = tokenizer.decode(ids, skip_special_tokens=False) == document.text
            surplus = int(lengths[ids].sum()) - len(document.text.encode())
            if is_back and surplus in (0, 1):  # Metaspace sets a space before the first word
                continue
            if not self.may_lose_text:
                raise ValueError(
                    f"{self.source} does not give the text of {document.id!r} back, byte for byte, "
                    "so bits per byte of a model that uses it would mean little. Take a byte-level "
                    "tokenizer, or say may_lose_text=true."
                )
            logger.warning("%s loses text: %s does not come back.", self.source, document.id)
            return


def _file(source: str, revision: str) -> Path:
    """Return the `tokenizer.json` of a folder, or of a name on the hub.

    Raises:
        ValueError: there is none.
    """
    folder = Path(source).expanduser()
    if folder.is_dir():
        if (folder / _TOKENIZER).is_file():
            return folder / _TOKENIZER
        raise ValueError(
            f"{folder} has no {_TOKENIZER}. Make one of other formats with "
            "`AutoTokenizer.from_pretrained(folder).save_pretrained(folder)` of transformers."
        )
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HFValidationError

    try:
        return Path(hf_hub_download(source, _TOKENIZER, revision=revision))
    except (OSError, HFValidationError) as error:  # its errors of absence are OSErrors
        raise ValueError(
            f"{source} is no folder, and the hub gave no {_TOKENIZER} of that name ({error}). "
            "Give a folder that has one."
        ) from error
