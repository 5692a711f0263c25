"""Buckets and other file systems, by fsspec URL: `s3://`, `gs://`, `az://` and so on."""

from collections.abc import Iterator
from typing import Any, BinaryIO, cast

from components.data.sources.source import Blob, Budget, Reading, without_credentials
from components.data.sources.streams import Counted, buffered

_PACKAGE = {
    "s3": "s3fs",
    "s3a": "s3fs",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "az": "adlfs",
    "abfs": "adlfs",
    "abfss": "adlfs",
}


def objects(reading: Reading) -> Iterator[Blob]:
    """Yield the objects under a URL in the order of their paths, or the one.

    Raises ValueError if the URL is of no known kind, cannot be reached, or has nothing under it.
    """
    import fsspec

    url = reading.source.location
    shown, scheme = without_credentials(url), url.partition("://")[0]
    if "::" in url:
        raise ValueError(f"{shown} chains file systems: give the inner one, unpacked on reading")
    try:
        found: tuple[Any, Any] = fsspec.url_to_fs(url)
        system, top = found
        paths: list[str] = sorted(system.find(top))
    except ImportError as error:
        package = _PACKAGE.get(scheme, f"the package for {scheme}://")
        raise ValueError(f"{shown} needs {package}: `pip install {package}` ({error})") from error
    except (OSError, ValueError) as error:
        raise ValueError(f"{shown} cannot be listed: {error}") from error
    if not paths:
        raise ValueError(f"{shown} is empty or does not exist: check it, and your credentials")
    for path in paths:
        yield _blob(reading, system, path, top, scheme)


def _blob(reading: Reading, system: Any, path: str, top: str, scheme: str) -> Blob:
    name = path.removeprefix(top.rstrip("/")).strip("/") or path.rstrip("/").rpartition("/")[2]
    budget = Budget(reading.source.max_ratio)

    def opened() -> BinaryIO:
        budget.size = cast("int | None", system.size(path))
        return buffered(Counted(cast("BinaryIO", system.open(path, "rb")), reading, budget))

    place = f"{scheme}://{path.lstrip('/')}"
    return Blob(name=name, kind=name.rpartition("/")[2], place=place, open=opened, budget=budget)
