"""Writes `infra/scaling.md`: what a step costs on many GPUs, and what that assumes.

`python -m infra.scaling` after a change of the numbers here or of the arithmetic in
`components/lib/scaling/step_time.py`.
"""

from collections.abc import Iterable
from pathlib import Path

from components.lib.scaling.step_time import Cluster, Method, Workload, step_time

PAGE = Path(__file__).with_suffix(".md")

WORKLOADS = (
    Workload(
        name="124 M",  # GPT-2
        num_parameters=124e6,
        num_layers=12,
        width=768,
        length=1024,
        tokens_per_gpu=32_768,
    ),
    Workload(
        name="1 B",  # Llama 3.2 1B
        num_parameters=1.24e9,
        num_layers=16,
        width=2048,
        length=2048,
        tokens_per_gpu=16_384,
    ),
    Workload(
        name="7 B",  # Llama 2 7B
        num_parameters=6.74e9,
        num_layers=32,
        width=4096,
        length=2048,
        tokens_per_gpu=8192,
    ),
)
NUM_GPUS = (8, 64, 512)
_METHODS: tuple[tuple[Method, str], ...] = (("replicate", "DDP"), ("shard", "FSDP"))

_COLUMNS = (
    "model",
    "tokens a GPU",
    "GPUs",
    "method",
    "compute, ms",
    "communication, ms",
    "not hidden, ms",
    "efficiency",
    "if nothing is hidden",
    "tokens a second",
)
_HEAD = """\
# What a step costs on many GPUs

Written by `python -m infra.scaling` from the arithmetic in
`components/lib/scaling/step_time.py`: a model of step time, not a
measurement. What one machine measures is printed by `make bench`.

"""


def page(cluster: Cluster | None = None) -> str:
    """Return the page in Markdown."""
    cluster = cluster or Cluster()
    rows = [
        _row(workload, num_gpus, cluster, method, label)
        for workload in WORKLOADS
        for num_gpus in NUM_GPUS
        for method, label in _METHODS
    ]
    table = [_line(_COLUMNS), _line("---" for _ in _COLUMNS), *rows]
    return _HEAD + "\n".join(table) + "\n\n" + _assumptions(cluster)


def _row(workload: Workload, num_gpus: int, cluster: Cluster, method: Method, label: str) -> str:
    time = step_time(workload, num_gpus, cluster, method)
    tokens_per_second = num_gpus * workload.tokens_per_gpu / time.total
    return _line(
        (
            workload.name,
            f"{workload.tokens_per_gpu:,}",
            str(num_gpus),
            label,
            *(f"{1000 * s:.1f}" for s in (time.compute, time.communication, time.exposed)),
            f"{time.efficiency:.1%}",
            f"{time.compute / (time.compute + time.communication):.1%}",
            f"{float(f'{tokens_per_second:.3g}'):,.0f}",
        )
    )


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _assumptions(cluster: Cluster) -> str:
    peak = f"{cluster.peak_flops / 1e12:.0f} TFLOP/s"
    node, network = (
        f"{bandwidth / 1e9:.0f} GB/s and {latency * 1e6:.0f} us a message"
        for bandwidth, latency in (
            (cluster.node_bandwidth, cluster.node_latency),
            (cluster.network_bandwidth, cluster.network_latency),
        )
    )
    return f"""\
Efficiency is tokens per second and GPU, against one GPU alone. Assumed:

- each GPU keeps its batch, so the batch of a step grows with the GPUs (weak scaling); a larger
  batch needs its own learning rate and at some size helps no more, which is not modelled here;
- compute: 6 FLOPs a weight and token, and 12 x layers x width x length for attention, on an H100
  SXM at {peak} (bf16, dense, published), of which {cluster.flop_use:.0%} is reached:
  published runs of 0.8 to 8 B parameters reach 33 to 46%; smaller models reach less;
- links of each GPU, in one direction: NVLink to the {cluster.gpus_per_node} GPUs of its node,
  {node}; InfiniBand to other nodes,
  {network}; nobody else uses them, and no rank is slower;
- DDP adds up float32 gradients, in a ring in each node and a ring between the nodes: each sends
  2 (n - 1) / n of its bytes. The backward pass alone can hide it, two thirds of the compute;
- FSDP gathers bf16 weights twice and scatters bf16 gradients: 1.5 times the traffic of one sum of
  2 bytes a weight, which all of the compute can hide;
- {cluster.overlap:.0%} of the communication can be hidden, if there is compute to hide it behind;
- memory is not modelled: 7 B under DDP does not fit (16 bytes a weight: 108 GB).
"""


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
