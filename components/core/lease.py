"""Placeholder until the lease is merged."""

from pathlib import Path


class Lease:
    """Placeholder."""

    @classmethod
    def take(cls, out: Path, owner: str) -> "Lease":
        """Placeholder."""
        return cls()

    def check(self) -> None:
        """Placeholder."""

    def release(self) -> None:
        """Placeholder."""
