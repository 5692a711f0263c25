"""How long a training step takes on many GPUs: arithmetic from shapes and speeds, no torch.

A node is a group of GPUs on fast links; each GPU also has a link of its own to the other nodes.
Everything is weak scaling: each GPU keeps its batch, so more GPUs are a larger batch.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

Method = Literal["replicate", "shard"]

_BACKWARD_SHARE = 2 / 3  # of a step's FLOPs: twice those of the forward pass


@dataclass(frozen=True)
class Workload:
    """A decoder, as far as its speed goes, and the batch of one GPU."""

    name: str
    """What people call it."""
    num_parameters: float
    """Weights."""
    num_layers: int
    """Blocks."""
    width: int
    """Size of the residual stream."""
    length: int
    """Tokens of a sequence."""
    tokens_per_gpu: int
    """Tokens that one GPU computes in a step."""


@dataclass(frozen=True)
class Cluster:
    """GPUs, their links, and how well they are used."""

    peak_flops: float = 989e12
    """FLOP/s of one GPU in bf16, dense: the data sheet of the H100 SXM."""
    flop_use: float = 0.40
    """Share of the peak that a step on one GPU reaches; llm-foundry and torchtitan publish 0.33 to
    0.46 for 0.8 to 8 B parameters on H100."""
    gpus_per_node: int = 8
    """GPUs that NVLink joins."""
    node_bandwidth: float = 450e9
    """Bytes/s that one GPU sends to its node (NVLink 4, one direction)."""
    network_bandwidth: float = 50e9
    """Bytes/s that one GPU sends to other nodes (InfiniBand NDR, 400 Gbit/s)."""
    node_latency: float = 3e-6
    """Seconds of one message in a node."""
    network_latency: float = 10e-6
    """Seconds of one message between nodes."""
    overlap: float = 0.8
    """Share of the communication that can overlap with the computation."""


class StepTime(NamedTuple):
    """Where the seconds of one step go."""

    compute: float
    communication: float  # all of it, hidden or not
    exposed: float  # the part that the computation waits for

    @property
    def total(self) -> float:
        """Seconds of the step."""
        return self.compute + self.exposed

    @property
    def efficiency(self) -> float:
        """Tokens per second and GPU, as a share of those of one GPU alone."""
        return self.compute / self.total


def training_flops_per_token(
    num_parameters: float, num_layers: int, width: int, length: int
) -> float:
    """Return the FLOPs of training on one token (Chowdhery et al. 2022, PaLM, appendix B)."""
    return 6 * num_parameters + 12 * num_layers * width * length


def ring_all_reduce(num_bytes: float, size: int, bandwidth: float, latency: float) -> float:
    """Return the seconds in which a ring of `size` adds up `num_bytes` that each of them has.

    2 (n - 1) messages of 1/n of the bytes each (Patarasuk and Yuan 2009): half of them reduce and
    scatter, the other half gather.
    """
    return 2 * (size - 1) * (num_bytes / size / bandwidth + latency)


def all_reduce(num_bytes: float, num_gpus: int, cluster: Cluster) -> float:
    """Return the seconds in which all GPUs add up `num_bytes` that each of them has.

    In two levels: scatter in each node, reduce each GPU's part between the nodes over the GPU's
    own link, gather in each node.
    """
    local = min(num_gpus, cluster.gpus_per_node)
    in_node = ring_all_reduce(num_bytes, local, cluster.node_bandwidth, cluster.node_latency)
    num_nodes = -(-num_gpus // cluster.gpus_per_node)
    between = ring_all_reduce(
        num_bytes / local, num_nodes, cluster.network_bandwidth, cluster.network_latency
    )
    return in_node + between


def communication_seconds(
    workload: Workload, num_gpus: int, cluster: Cluster, method: Method
) -> float:
    """Return the seconds that the weights and gradients of one step are under way.

    Replicas add up float32 gradients. Shards gather bf16 weights twice, forward and backward, and
    scatter bf16 gradients: 1.5 times the traffic of one sum (Rajbhandari et al. 2020, ZeRO). The
    messages of one step are pipelined: the latency of a ring counts once.
    """
    if method == "replicate":
        return all_reduce(4 * workload.num_parameters, num_gpus, cluster)
    return 1.5 * all_reduce(2 * workload.num_parameters, num_gpus, cluster)


def step_time(workload: Workload, num_gpus: int, cluster: Cluster, method: Method) -> StepTime:
    """Return the time of one step.

    Replicas can only send gradients while the backward pass still runs; shards send throughout.
    """
    flops = training_flops_per_token(
        workload.num_parameters, workload.num_layers, workload.width, workload.length
    )
    compute = workload.tokens_per_gpu * flops / (cluster.peak_flops * cluster.flop_use)
    communication = communication_seconds(workload, num_gpus, cluster, method)
    room = compute * (_BACKWARD_SHARE if method == "replicate" else 1.0)
    hidden = min(cluster.overlap * communication, room)
    return StepTime(compute, communication, communication - hidden)
