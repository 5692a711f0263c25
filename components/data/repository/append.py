"""What is added to a dataset: documents that are not there yet, each once, in bounded memory."""

import shutil
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from components.core.files import link_or_copy, sha256
from components.data.document import (
    Document,
    document_files,
    num_lines,
    read_documents,
    write_shards,
)
from components.data.repository.dialogue_sets import (
    FILES,
    About,
    about,
    write_as_documents,
    write_set,
)
from components.data.seen import Seen
from components.data.sources.intake import Intake


def gathered(target: Path, new: Path, aside: Path, intake: Intake, append: bool) -> dict[str, Any]:
    """Make `new/read` what the dataset becomes; return its size and hashes, for `Ingested`."""
    before, kind = target, intake.source.kind
    if append and kind in FILES and (target / FILES[kind]).exists():
        before = new / "before"
        write_as_documents(kind, target, before)
    if append and document_files(before):
        append_to(before, new, aside, intake)
    if kind not in FILES:
        return _counts(new / "read")
    made = About(formats=+intake.formats, licenses=+intake.licenses, left_out=+intake.left_out)
    return write_set(kind, new / "read", made, about(target) if append else None)


def append_to(target: Path, new: Path, scratch: Path, intake: Intake) -> None:
    """Make what was read into `new/read` what is in `target`, and after it what is not there yet.

    Of what is there, all files but the last stay as they are. `intake` withdraws what is
    there already.
    """
    *whole, last = document_files(target)
    there = (document for file in (*whole, last) for document in read_documents(file))
    more = (each for file in document_files(new / "read") for each in read_documents(file))
    documents = unseen(there, more, scratch, intake)
    (new / "joined").mkdir()
    for file in whole:
        link_or_copy(file, new / "joined" / file.name)
    write_shards(new / "joined", chain(read_documents(last), documents), first=len(whole))
    shutil.rmtree(new / "read")
    (new / "joined").rename(new / "read")


def _counts(folder: Path) -> dict[str, Any]:
    """Return the number of documents in `folder`, and the hash of each file, for `Ingested`."""
    files = document_files(folder)
    return {
        "total_documents": sum(map(num_lines, files)),
        "sha256": {file.name: sha256(file) for file in files},
    }


def unseen(
    there: Iterable[Document], more: Iterable[Document], scratch: Path, intake: Intake
) -> Iterator[Document]:
    """Yield the documents of `more` that are not among those that are there.

    Equal id and text is the same document: `intake` withdraws it. One with a known id and another
    text becomes `ID~` and 8 hex digits of its text's sha256. Writes a database into `scratch`.
    """
    with Seen(scratch / "seen.db") as seen:
        for document in there:
            seen.told_apart(document)
        for document in more:
            if (found := seen.told_apart(document)) is None:
                intake.withdraw(document)
                continue
            intake.num_renamed += found.id != document.id
            yield found
