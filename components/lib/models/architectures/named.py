"""Which class each name of an architecture stands for: the one place that knows."""

from components.lib.models.architectures.architecture import Architecture
from components.lib.models.architectures.bert import Bert
from components.lib.models.architectures.gpt2 import GPT2
from components.lib.models.architectures.llama import Llama
from components.lib.models.architectures.moe import MixtureOfExperts
from components.lib.models.architectures.qwen3 import Qwen3
from components.lib.models.architectures.sliding import Sliding
from components.lib.models.shape import ArchitectureName

ARCHITECTURES: dict[ArchitectureName, Architecture] = {
    "llama": Llama(),
    "qwen3": Qwen3(),
    "gpt2": GPT2(),
    "sliding": Sliding(),
    "moe": MixtureOfExperts(),
    "bert": Bert(),
}
