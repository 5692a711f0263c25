"""Two tiny models, and a server over the first that tests share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.infra.serving.parrots import Live, parrot, serving

pytest.importorskip("onnxruntime_genai")


@pytest.fixture(scope="session")
def parrots(machine: None, tmp_path_factory) -> tuple[Path, Path]:
    """Two models that answer differently."""
    folder = tmp_path_factory.mktemp("parrots")
    return parrot(folder / "1", seed=1), parrot(folder / "2", seed=2)


@pytest.fixture(scope="module")
def live(parrots: tuple[Path, Path]) -> Iterator[Live]:
    """A server of the first model."""
    with serving(f"polly={parrots[0]}") as found:
        yield found
