"""Ingest: a revision of `data/` -> a private, proved copy that no later edit can change."""

import shutil
from pathlib import Path
from typing import ClassVar

from components.core.artifacts.data import DataRevision, RawData
from components.core.component import Component
from components.core.settings import settings
from components.data.repository import dataset

_COPY = ".copy"


class Ingest(Component[DataRevision, RawData]):
    """Bring `data/` to the pinned revision and copy it.

    It comes from DVC's cache, else from the DVC remote, else it is built from installed packages;
    whichever it is, its hash must be the pinned one.
    """

    version: ClassVar[str] = "1.1.0"

    sources: tuple[str, ...] = ()
    """Folders of `data/` whose documents are taken, such as `["speeches"]`; none means all."""

    def run(self, inputs: DataRevision, out: Path) -> RawData:
        """Copy `data/` into `out`.

        Raises:
            ValueError: the revision is not the one that `data.dvc` pins, or cannot be had, or it
                has not all the sources.
        """
        project, state = settings().project.resolve(), settings().home.resolve()
        pinned = dataset.revision(project)
        if inputs.revision != pinned:
            raise ValueError(
                f"Revision {inputs.revision} is asked, but data.dvc pins {pinned}. Bring back the "
                "data.dvc of that revision with git, then run again."
            )
        dataset.restore(project, state)
        shutil.rmtree(out / _COPY, ignore_errors=True)
        shutil.copytree(project / "data", out / _COPY)
        if (copied := dataset.digest(out / _COPY)) != pinned:
            raise ValueError(f"data/ changed while it was copied: {copied}. Run again.")
        for folder in sorted((out / _COPY).iterdir()):
            shutil.rmtree(out / folder.name, ignore_errors=True)
            folder.replace(out / folder.name)
        (out / _COPY).rmdir()
        return RawData(path=out, revision=pinned, sources=self._chosen(out))

    def _chosen(self, out: Path) -> tuple[str, ...]:
        found = sorted(file.parent.name for file in out.glob("*/documents.jsonl"))
        if missing := sorted({*self.sources} - {*found}) or not found:
            raise ValueError(
                f"data/ holds no documents of {missing if found else 'any source'}; it has: "
                f"{', '.join(found) or 'nothing'}. Add some: `bloomery data add NAME SOURCE`."
            )
        return tuple(name for name in found if not self.sources or name in self.sources)


def current_revision() -> DataRevision:
    """Return the revision that `data.dvc` pins.

    Raises:
        ValueError: `data/` was changed by hand and no longer is that revision.
    """
    project = settings().project.resolve()
    if dataset.status(project) == "changed":
        raise ValueError(
            f"{project / 'data'} is not what data.dvc pins ({dataset.revision(project)}). Keep the "
            "change with `dvc add data`, or undo it with `dvc checkout --force data`."
        )
    return DataRevision(revision=dataset.revision(project))
