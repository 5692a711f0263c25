"""What Prometheus reads at `/metrics`."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from infra.serving.admission import Admission
from infra.serving.answering import Timing
from infra.serving.models import Models

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 3, 6, 12, 30, 60, 120)
_BETWEEN = (0.005, 0.01, 0.02, 0.03, 0.05, 0.08, 0.12, 0.2, 0.4, 1, 3)


class Metrics:
    """Counts of one server."""

    def __init__(self, models: Models, admission: Admission) -> None:
        """Count from zero."""
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        registry.register(_State(models, admission))
        self._requests = Counter(
            "bloomery_requests",
            "Requests by the status that they were answered with; 499: the client went away.",
            ("route", "model", "version", "status"),
            registry=registry,
        )
        names = ("model", "version")
        self._first = Histogram(
            "bloomery_time_to_first_token_seconds",
            "From the request's end to its first token.",
            names,
            buckets=_SECONDS,
            registry=registry,
        )
        self._between = Histogram(
            "bloomery_time_per_output_token_seconds",
            "Mean time between the tokens of an answer.",
            names,
            buckets=_BETWEEN,
            registry=registry,
        )
        self._whole = Histogram(
            "bloomery_request_seconds",
            "From the request's end to the answer's end.",
            names,
            buckets=_SECONDS,
            registry=registry,
        )
        self._prompt = Counter("bloomery_prompt_tokens", "Read.", names, registry=registry)
        self._made = Counter("bloomery_completion_tokens", "Made.", names, registry=registry)

    def requested(self, route: str, model: str, version: str, status: int) -> None:
        """Count a request."""
        self._requests.labels(route, model, version, str(status)).inc()

    def answered(self, model: str, version: str, num_prompt_tokens: int, timing: Timing) -> None:
        """Count what an answer cost."""
        self._prompt.labels(model, version).inc(num_prompt_tokens)
        self._made.labels(model, version).inc(timing.num_tokens)
        if timing.first is None or timing.last is None:
            return
        self._first.labels(model, version).observe(timing.first - timing.began)
        self._whole.labels(model, version).observe(timing.last - timing.began)
        if timing.num_tokens > 1:
            mean = (timing.last - timing.first) / (timing.num_tokens - 1)
            self._between.labels(model, version).observe(mean)

    def page(self) -> bytes:
        """Return all numbers in Prometheus' text format."""
        return generate_latest(self._registry)


class _State(Collector):
    """What is so at the moment of asking."""

    def __init__(self, models: Models, admission: Admission) -> None:
        self._models, self._admission = models, admission

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(
            "bloomery_requests_in_flight", "Read or answered.", self._admission.num_requests
        )
        names = ("model", "version")
        running = GaugeMetricFamily("bloomery_slots_running", "Slots at work.", labels=names)
        waiting = GaugeMetricFamily("bloomery_requests_waiting", "For a slot.", labels=names)
        steps = CounterMetricFamily("bloomery_engine_steps", "Of decoding.", labels=names)
        for model in self._models.loaded():
            load, labels = model.engine.load(), (model.found.name, model.found.version)
            running.add_metric(labels, load.running)
            waiting.add_metric(labels, load.waiting)
            steps.add_metric(labels, load.steps)
        swaps = CounterMetricFamily("bloomery_swaps", "New versions.", labels=("model",))
        up = GaugeMetricFamily("bloomery_model_up", "0: it did not load.", labels=("model",))
        troubles = self._models.troubles()
        for name, number in self._models.num_swaps().items():
            swaps.add_metric((name,), number)
            up.add_metric((name,), float(name not in troubles))
        yield from (running, waiting, steps, swaps, up)
