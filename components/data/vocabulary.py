"""TrainVocabulary: clean documents -> a tokenizer with a chat template."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from components.core.artifacts.data import Corpus, Vocabulary
from components.core.component import Component
from components.data.document import Document, read_documents
from components.data.split import SplitName
from components.data.tokens.subwords import SubwordKind, train

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_NUM_BYTES = 256
_PASSAGE = 1 << 16  # characters; what a sample takes or leaves, so that no document is too long


class TrainVocabulary(Component[Corpus, Vocabulary]):
    """Learn a tokenizer from the train split: byte-level BPE (Radford et al. 2019) or another kind.

    Every text has a token sequence and comes back exactly, whatever the kind. Digits are tokens of
    their own, so that a number reads the same wherever it stands. Writes a transformers fast
    tokenizer with the platform's special tokens and chat template.
    """

    version: ClassVar[str] = "1.1.0"

    kind: SubwordKind = "bpe"
    """How text is cut; `components/data/tokens/subwords.py` says how each is trained."""
    vocab_size: int = Field(default=4096, gt=_NUM_BYTES)
    """Number of ids, special tokens included. There may be fewer if the kind is `character` (those
    that the corpus has, and 256 bytes) or `byte` (256, whatever is asked)."""
    sample_bytes: int = Field(default=1 << 30, gt=0)
    """UTF-8 bytes of the train split that it learns from, at most: of each source (the first part
    of a document's id) the same share, evenly over the file."""

    def run(self, inputs: Corpus, out: Path) -> Vocabulary:
        """Train and save the tokenizer under `out`.

        Raises:
            ValueError: the corpus has fewer distinct pieces than `vocab_size` asks for.
        """
        from components.lib.text.chat import SPECIAL_TOKENS

        texts = (document.text for document in sample(inputs, "train", self.sample_bytes))
        tokenizer = train(self.kind, texts, self.vocab_size, list(SPECIAL_TOKENS))
        size = tokenizer.get_vocab_size()
        is_exact = self.kind not in ("character", "byte")
        if size > self.vocab_size or (is_exact and size < self.vocab_size):
            raise ValueError(
                f"The train split yields only {size} tokens, but {self.vocab_size=}. "
                "Add documents with `bloomery data add`, or lower vocab_size."
                if size < self.vocab_size
                else f"A {self.kind} vocabulary has at least {size} tokens, but {self.vocab_size=}."
            )
        save(tokenizer, out)
        return Vocabulary(path=out, vocab_size=size)


def save(tokenizer: "Tokenizer", out: Path) -> None:
    """Save as a transformers fast tokenizer, with our chat template and our special tokens' parts.

    `tokenizer` must have the special tokens.
    """
    from transformers import PreTrainedTokenizerFast

    from components.lib.text.chat import ASSISTANT, CLS, END_OF_TEXT, MASK, PADDING, TEMPLATE, USER

    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=END_OF_TEXT,
        bos_token=END_OF_TEXT,
        pad_token=PADDING,
        mask_token=MASK,
        cls_token=CLS,
        sep_token=END_OF_TEXT,
        additional_special_tokens=[USER, ASSISTANT],
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = TEMPLATE
    fast.save_pretrained(out)


def sample(corpus: Corpus, split: SplitName, sample_bytes: int) -> Iterator[Document]:
    """Yield the documents of a split: all, or passages of them that hold about `sample_bytes`."""
    share = sample_bytes / corpus.num_bytes[split]
    seen, taken = Counter[str](), Counter[str]()
    for document in read_documents(corpus.path / f"{split}.jsonl"):
        if share >= 1:
            yield document
            continue
        source = source_of(document)
        for start in range(0, len(document.text), _PASSAGE):
            passage = document.text[start : start + _PASSAGE]
            size = len(passage.encode())
            seen[source] += size
            if taken[source] + size / 2 <= share * seen[source]:
                taken[source] += size
                yield document.model_copy(update={"text": passage})


def source_of(document: Document) -> str:
    """Return where a document comes from: the first part of its id."""
    return document.id.split("/")[0]
