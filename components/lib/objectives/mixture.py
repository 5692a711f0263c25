"""Next-token training of a mixture of experts: losses that keep its experts in use."""

# B = sequences, T = tokens of a sequence, L = layers, E = experts, K = experts of a token

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import PreTrainedModel

from components.lib.device import put
from components.lib.examples.batches import Batch
from components.lib.group import Group
from components.lib.objectives.next_token import NextToken, narrowed, predict

_CAPACITY_FACTOR = 1.25  # Fedus et al. 2021, Switch Transformer, table 1


class MixtureNextToken(NextToken):
    """Predict each next token, and spread the tokens over the experts.

    `load_balance` is the sequence-wise loss of DeepSeek-V3 (arXiv 2412.19437, equations 17 to 20),
    a mean over layers and sequences: 1 when a router's tokens and probabilities are spread evenly,
    and the number of experts over K when it always chooses the same. A balance over the whole
    batch would depend on how the batch is cut. `router_z` is the squared logarithm of the
    router's normaliser (Zoph et al. 2022, ST-MoE, equation 5), a mean over layers and tokens.
    """

    def __init__(
        self,
        z_loss: float = 0.0,
        label_smoothing: float = 0.0,
        load_balance: float = 0.01,
        router_z: float = 0.001,
    ) -> None:
        """Weigh the terms; 0.01 is Fedus et al.'s weight of a balance, 0.001 ST-MoE's of z."""
        super().__init__(z_loss, label_smoothing)
        self._load_balance = load_balance
        self._router_z = router_z
        self._used: Tensor | None = None  # (L, E): assignments since `observed` was called
        self._overflow: Tensor | None = None  # (L,): those of them over an expert's capacity

    def count(self, batch: Batch) -> dict[str, int]:
        """Return the targets, the sequences for the balance, and the tokens for the router's z."""
        routed = {"load_balance": len(batch), "router_z": batch.num_tokens()}
        return {**super().count(batch), **routed}

    def __call__(self, model: PreTrainedModel, batch: Batch) -> dict[str, Tensor]:
        """Return the terms, weighed, each summed over its items."""
        batch = narrowed(batch)
        is_token = put(batch.holds_tokens())
        output, targets = predict(model, batch, output_router_logits=True)
        # transformers gives (B T, E) a layer, in the precision of autocast
        routers = torch.stack(output.router_logits).float().unflatten(1, is_token.shape)
        balance, z = self._routed(routers, is_token, model.config.num_experts_per_tok)
        routed = {"load_balance": self._load_balance * balance, "router_z": self._router_z * z}
        return {**self.terms(output.logits, targets), **routed}

    def observed(self, group: Group) -> dict[str, float]:
        """Return what share of its layer's assignments each expert got since the last call.

        `expert_overflow` is the share of all assignments that would have been dropped if each
        expert took no more than 1.25 times its even share of a sequence; here none is dropped.
        """
        if self._used is None or self._overflow is None:
            return {}
        num_layers, num_experts = self._used.shape
        sums = group.sum(torch.cat([self._used.flatten(), self._overflow]))
        self._used = self._overflow = None
        used = sums[:-num_layers].view(num_layers, num_experts)
        shares = (used / used.sum(1, keepdim=True)).tolist()
        found = {
            f"expert_use.layer_{layer:02}.expert_{expert:02}": share
            for layer, row in enumerate(shares)
            for expert, share in enumerate(row)
        }
        return {**found, "expert_overflow": float(sums[-num_layers:].sum() / used.sum())}

    def _routed(self, routers: Tensor, is_token: Tensor, top: int) -> tuple[Tensor, Tensor]:
        """Return the balance summed over sequences and z over tokens, for logits (L, B, T, E)."""
        num_layers, *_, num_experts = routers.shape
        is_token = is_token[..., None]  # (B, T, 1)
        lengths = is_token.sum(1).clamp(min=1)  # (B, 1)
        probabilities = routers.softmax(-1)
        chosen = F.one_hot(probabilities.topk(top, dim=-1).indices, num_experts).sum(-2)
        used = (chosen * is_token).sum(2)  # (L, B, E)
        self._observe(used, lengths, top)
        share_of_tokens = used * num_experts / (top * lengths)  # equation 18
        share_of_probability = (probabilities * is_token).sum(2) / lengths  # equation 20
        balance = (share_of_tokens * share_of_probability).sum() / num_layers
        z = (routers.logsumexp(-1).square() * is_token[..., 0]).sum() / num_layers
        return balance, z

    @torch.no_grad()
    def _observe(self, used: Tensor, lengths: Tensor, top: int) -> None:
        """Add up assignments (L, B, E) of sequences with `lengths` (B, 1) tokens."""
        capacity = torch.ceil(_CAPACITY_FACTOR * top * lengths / used.shape[-1])
        overflow = (used - capacity).clamp(min=0).sum((1, 2), dtype=torch.float64)
        total = used.sum(1, dtype=torch.float64)
        if self._used is None or self._overflow is None:
            self._used, self._overflow = total, overflow
        else:
            self._used, self._overflow = self._used + total, self._overflow + overflow
