"""What all requests of a server share."""

from collections.abc import Sequence

from infra.serving.admission import Admission
from infra.serving.answer_log import AnswerLog, Consent
from infra.serving.keys import Keys
from infra.serving.metrics import Metrics
from infra.serving.models import Models
from infra.serving.options import Limits
from infra.serving.shares import Share, Shares


class Service:
    """The models, and who may ask them for how much."""

    def __init__(
        self,
        models: Models,
        limits: Limits,
        keys: Keys,
        shares: Sequence[Share] = (),
        consent: Consent = "none",
    ) -> None:
        """Share these."""
        self.models, self.limits, self.keys = models, limits, keys
        self.shares, self.log = Shares(shares), AnswerLog(consent)
        self.admission = Admission(limits)
        self.metrics = Metrics(models, self.admission)

    def close(self) -> None:
        """Write what waits, and let go of the models."""
        self.models.close()
        self.shares.close()
        self.log.close()
