"""The one typed source, and what a connector makes of it: documents, rejects and blobs."""

import codecs
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Literal, Self
from urllib.parse import parse_qsl, urlencode, urlsplit

from pydantic import Field, field_validator, model_validator

from components.core.artifacts.base import Frozen
from components.data.dialogues.rows import Kind

SAMPLE_CHARACTERS = 1000
_RATIO_FLOOR = 64 << 20  # short texts repeat themselves; a bomb does not stop here
REFERENCE = re.compile(r"\$\{(BLOOMERY_SECRET_\w+)\}")
"""How a location names a variable of the environment."""
_SECRET = re.compile(r"sig|token|secret|password|credential|key|^x-(amz|goog)-", re.IGNORECASE)


class Source(Frozen):
    """Where documents are and how to read them."""

    location: str = Field(min_length=1)
    """A file, a folder or a pattern such as `*.csv`; `https://...`; `s3://...`, `gs://...` or
    another fsspec URL; `hf://NAME` or `hf:///folder`; a SQLAlchemy URL such as
    `sqlite:////file.db`, with a query. In the last, `${BLOOMERY_SECRET_...}` stands for a variable
    of the environment, such as a password."""
    kind: Kind = "documents"
    """What its records are: documents, items that models are tested on, dialogues to learn, or
    answers of which one was preferred."""
    more: tuple[str, ...] = ()
    """Further local files, folders or patterns that belong to it: they are read as one source."""
    text_column: str = "text"
    """Column or key that holds the text; several, joined by commas, are joined by line ends."""
    split: str = "train"
    """Split of a Hugging Face dataset."""
    query: str = ""
    """SQL that gives one row a document."""
    unit: Literal["file", "paragraph", "line"] = "file"
    """What one document is in a .txt or .md: all of it, or what blank lines or line ends part."""
    reader: Literal["", "text", "html", "jsonl", "json", "csv", "parquet", "warc"] = ""
    """What every file is read as, whatever its name says; empty: by its name."""
    separator: Literal["", "comma", "semicolon", "tab", "bar"] = ""
    """What is between the columns of CSV; empty: what the file begins like."""
    header: Literal["auto", "yes", "no"] = "auto"
    """Whether the first row of CSV names the columns; without names they are called 1, 2, ..."""
    encoding: str = "utf-8"
    """Encoding of text files that have no byte order mark."""
    license: str = ""
    """Licence of the documents that name none themselves, such as `CC-BY-4.0`."""
    max_bad: float = Field(default=0.05, ge=0, le=1)
    """Share of records that may be unreadable; more stops the ingest."""
    max_record_bytes: int = Field(default=16 << 20, ge=1)
    """Longer records are left out."""
    max_ratio: float = Field(default=100, gt=1)
    """How many times larger than it lies there a compressed file may become."""

    @property
    def place(self) -> str:
        """What is read, for people, without credentials."""
        more = f" and {len(self.more)} more" if self.more else ""
        return without_credentials(self.location) + more

    @property
    def is_of_dialogues(self) -> bool:
        """Whether its records are dialogues or preferences, which have formats."""
        return self.kind in ("instructions", "preferences")

    @model_validator(mode="after")
    def _more_is_local(self) -> Self:
        far = [place for place in (self.location, *self.more) if "://" in place]
        if self.more and far:
            raise ValueError(
                f"several at once must be local files or folders, and {without_credentials(far[0])}"
                " is none: add it by itself, with --append to what is there"
            )
        return self

    @field_validator("encoding")
    @classmethod
    def _is_known(cls, name: str) -> str:
        try:
            return codecs.lookup(name).name
        except LookupError as error:
            raise ValueError("no such encoding: utf-8, latin-1, cp1252, shift_jis, ...") from error


@dataclass(frozen=True)
class Reject:
    """A record that does not become a document."""

    id: str
    """What the document would have been called."""
    reason: str
    """One or two words, the same for all of a kind."""
    place: str
    """Where it was found."""
    detail: str = ""
    """What exactly is wrong."""
    sample: str = ""
    """The beginning of it."""
    count: int = 1
    """Number of records that this stands for, by the size of those before it if nobody knows."""
    lost_bytes: int = 0
    """Bytes of the source, as they lie there, that could not be read with it."""


class ArchiveLimit(ValueError):
    """A compressed file or an archive is larger inside than it may be."""


@dataclass
class Budget:
    """What compressed files inside one file may become, all together."""

    max_ratio: float
    """Largest ratio of what comes out to what is read."""
    size: int | None = None
    """Bytes of the outermost file, if known: reading some of them twice does not earn more."""
    num_read: int = 0
    """Bytes read of it."""
    num_expanded: int = 0
    """Bytes that came out, at all depths."""

    def expand(self, num_bytes: int) -> None:
        """Count what came out of a compressed stream. Raises ArchiveLimit at the limit."""
        self.num_expanded += num_bytes
        read = self.num_read if self.size is None else min(self.num_read, self.size)
        if self.num_expanded > max(_RATIO_FLOOR, self.max_ratio * read):
            raise ArchiveLimit(
                f"{self.num_expanded} bytes came out of {read}, more than {self.max_ratio:g} times "
                "as many: unpack it yourself if you trust it, or allow more with --max-ratio"
            )


@dataclass
class Reading:
    """One reading of a source."""

    source: Source
    """What to read."""
    name: str
    """Name of the dataset, which ids begin with."""
    state: Path
    """Folder that downloads and unpacked archives lie in while they are read."""
    num_bytes: int = 0
    """Bytes read so far, as they lie or come, compressed or not."""


@dataclass(frozen=True)
class Blob:
    """A stream of bytes that holds documents: a file, an object in a bucket, a member."""

    name: str
    """Path inside the source; with the dataset's name before it, the id."""
    kind: str
    """File name that tells the format, less the suffixes that were dealt with."""
    place: str
    """Where it is, without credentials."""
    open: Callable[[], BinaryIO]
    """Opens it at its beginning."""
    budget: Budget
    """Limits of what it may become."""
    metadata: dict[str, str | int] = field(default_factory=dict[str, str | int])
    """What is known of all documents in it."""
    depth: int = 0
    """How many archives and compressed files it is inside of."""
    size: int | None = None
    """Bytes of a member of an archive, if it says so."""


def holds_credentials(url: str) -> bool:
    """Whether a URL has a password or a secret parameter in it, not the name of a variable."""
    parts = urlsplit(url)
    is_login = parts.scheme in ("http", "https") and parts.username is not None
    is_secret = any(_SECRET.search(name) for name, _ in parse_qsl(parts.query, True))
    password = parts.password or ""
    return is_login or is_secret or bool(password and not REFERENCE.fullmatch(password))


def without_credentials(url: str) -> str:
    """Return `url` without user, password, fragment and the parameters that look like secrets."""
    if "://" not in url:
        return url
    parts = urlsplit(url)
    kept = [(k, v) for k, v in parse_qsl(parts.query, True) if not _SECRET.search(k)]
    query = f"?{urlencode(kept)}" if kept else ""
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}{query}"
