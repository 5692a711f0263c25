"""Why a row becomes no dialogue."""


class Refused(ValueError):
    """A row that is none, with a reason that is counted and what exactly is wrong."""

    def __init__(self, reason: str, detail: str) -> None:
        """Hold a reason of a few words, the same for all of a kind."""
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail
