from dataclasses import replace

import pytest

from components.lib.models.build import SpecialIds, build_model
from components.lib.models.folders import flops_per_token, num_parameters
from components.lib.models.shape import Shape
from components.lib.scaling.step_time import (
    Cluster,
    Workload,
    all_reduce,
    ring_all_reduce,
    step_time,
    training_flops_per_token,
)

# 1e9 weights, 10 blocks of width 1000, 100 tokens: 6e9 + 12 * 10 * 1000 * 100 = 6.012e9 FLOPs
WORKLOAD = Workload(
    name="round", num_parameters=1e9, num_layers=10, width=1000, length=100, tokens_per_gpu=1000
)
# 1e14 FLOP/s reached; no latency unless a test asks for it
CLUSTER = Cluster(
    peak_flops=2e14,
    flop_use=0.5,
    gpus_per_node=4,
    node_bandwidth=100e9,
    network_bandwidth=10e9,
    node_latency=0,
    network_latency=0,
    overlap=0.75,
)
COMPUTE = 1000 * 6.012e9 / 1e14  # 0.06012 s


def test_a_ring_of_four_moves_one_and_a_half_times_the_bytes_in_six_messages():
    assert ring_all_reduce(8e9, 4, 1e9, 0) == pytest.approx(12.0)
    assert ring_all_reduce(0, 4, 1e9, 1e-3) == pytest.approx(6e-3)
    assert ring_all_reduce(8e9, 1, 1e9, 1e-3) == 0


def test_nodes_reduce_only_the_part_of_each_gpu_between_them():
    # in a node of four: 1.5 x 8 GB / 100 GB/s; between two nodes: 1 x 2 GB / 10 GB/s
    assert all_reduce(8e9, 8, CLUSTER) == pytest.approx(0.12 + 0.2)
    assert all_reduce(8e9, 4, CLUSTER) == pytest.approx(0.12)
    assert all_reduce(8e9, 1, CLUSTER) == 0


def test_replicas_wait_for_what_the_backward_pass_does_not_hide():
    # 4 GB of gradients in a node: 0.06 s; three quarters could be hidden, 0.045 s, but the
    # backward pass takes only two thirds of the 0.06012 s
    time = step_time(WORKLOAD, 4, CLUSTER, "replicate")
    assert time.compute == pytest.approx(COMPUTE)
    assert time.communication == pytest.approx(0.06)
    assert time.exposed == pytest.approx(0.06 - 0.04008)
    assert time.efficiency == pytest.approx(0.06012 / 0.08004)


def test_shards_move_half_as_much_again_of_half_the_bytes_and_hide_it_behind_everything():
    # 2 GB of bf16: 1.5 x 0.03 s in a node, of which a quarter is not hidden
    time = step_time(WORKLOAD, 4, CLUSTER, "shard")
    assert time.communication == pytest.approx(0.045)
    assert time.exposed == pytest.approx(0.01125)


def test_one_gpu_communicates_nothing_and_waits_for_nobody():
    time = step_time(WORKLOAD, 1, CLUSTER, "shard")
    assert (time.exposed, time.efficiency) == (0, 1)


def test_a_slower_network_never_makes_a_step_faster():
    clusters = [replace(CLUSTER, network_bandwidth=speed) for speed in (50e9, 10e9, 1e9)]
    times = [step_time(WORKLOAD, 64, cluster, "shard").total for cluster in clusters]
    assert times == sorted(times)
    assert times[0] < times[2]


def test_the_flops_are_those_that_a_training_counts():
    shape = Shape(max_length=16, width=32, num_layers=2, num_heads=2)
    model = build_model(shape, 64, SpecialIds(end_of_text=0, padding=1), seed=0)
    expected = flops_per_token(model, 16)
    assert training_flops_per_token(num_parameters(model), 2, 32, 16) == expected
