"""What all requests of a server share."""

from infra.serving.admission import Admission
from infra.serving.keys import Keys
from infra.serving.metrics import Metrics
from infra.serving.models import Models
from infra.serving.options import Limits


class Service:
    """The models, and who may ask them for how much."""

    def __init__(self, models: Models, limits: Limits, keys: Keys) -> None:
        """Share these."""
        self.models, self.limits, self.keys = models, limits, keys
        self.admission = Admission(limits)
        self.metrics = Metrics(models, self.admission)
