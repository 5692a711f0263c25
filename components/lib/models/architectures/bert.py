"""`bert` (Devlin et al. 2018): an encoder that fills in masked tokens."""

from typing import TYPE_CHECKING, Any

from components.lib.models.architectures.architecture import Architecture
from components.lib.models.shape import Shape

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_PAIRS = "its examples are pairs of stretches, each of one document"
_TERMS = "its loss is the sum of two published terms"
_WITHOUT = {
    "packing": _PAIRS,
    "document_mask": _PAIRS,
    "z_loss": _TERMS,
    "label_smoothing": _TERMS,
}


class Bert(Architecture):
    """The encoder of 2017's transformer. It normalises after the sum, and starts as published."""

    reads_both_ways = True
    objective = "masked"
    without = _WITHOUT

    def build(self, shape: Shape, common: dict[str, Any]) -> "PreTrainedModel":
        """Return a `BertForPreTraining`, with both of the heads that it is pretrained with."""
        from transformers import BertConfig, BertForPreTraining

        config = BertConfig(
            **common,
            hidden_size=shape.width,
            intermediate_size=self.feed_forward_width(shape),
            num_hidden_layers=shape.num_layers,
            num_attention_heads=shape.num_heads,
            max_position_embeddings=shape.max_length,
            hidden_dropout_prob=shape.dropout,
            attention_probs_dropout_prob=shape.dropout,
        )
        return BertForPreTraining(config)
