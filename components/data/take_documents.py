"""TakeDocuments: the pinned `data/` -> the documents of some sources, whatever else it holds."""

from pathlib import Path
from typing import ClassVar

from components.core.artifacts.data import DataFiles, Documents
from components.core.component import Component
from components.data.repository.pinned import matching, take

_DOCUMENTS = r"(?!evaluation/)[^/]+/documents(-\d{5})?\.jsonl"


def documents_in(
    data: DataFiles, sources: tuple[str, ...] = (), but: tuple[str, ...] = ()
) -> DataFiles:
    """Return the files of documents of `sources`; of all if none is named, but for those of `but`.

    Raises:
        ValueError: a source has none or is in `but` as well, or there are none at all.
    """
    found = matching(data, _DOCUMENTS)
    names = _sources(found)
    if missing := sorted({*sources} - {*names}) or not names:
        raise ValueError(
            f"data/ holds no documents of {missing if names else 'any source'}; it has: "
            f"{', '.join(names) or 'nothing'}. Add some: `bloomery data add NAME SOURCE`."
        )
    wanted = sources or tuple(name for name in names if name not in but)
    if (both := sorted({*sources} & {*but})) or not wanted:
        raise ValueError(
            f"{', '.join(both) or 'Every source'} is to be learnt and to be replayed. Name the "
            "sources to learn without those to replay: --set corpus.sources='[\"NAME\"]'."
        )
    chosen = tuple(file for file in found.files if file.name.split("/")[0] in wanted)
    return found.model_copy(update={"files": chosen})


class TakeDocuments(Component[DataFiles, Documents]):
    """Link the documents out of `data/`.

    They come from DVC's cache or `data/`, else from the DVC remote, else they are built from
    installed packages. Whichever it is, their hash must be the pinned one.
    """

    version: ClassVar[str] = "1.0.0"

    def run(self, inputs: DataFiles, out: Path) -> Documents:
        """Link the files that `documents_in` chose.

        Raises:
            ValueError: they cannot be had.
        """
        take(inputs, out)
        return Documents(path=out, revision=inputs.revision, sources=_sources(inputs))


def _sources(data: DataFiles) -> tuple[str, ...]:
    return tuple(sorted({file.name.split("/")[0] for file in data.files}))
