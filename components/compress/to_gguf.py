"""ToGGUF: a model -> one GGUF file that llama.cpp and Ollama run."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from components.compress.gguf.export import GGUFType
from components.core.artifacts.models import Checkpoint, GGUFModel
from components.core.component import Component
from components.core.files import size_of, write_atomically
from components.core.settings import settings

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

logger = logging.getLogger(__name__)

_PROMPT = "The state of the Union"  # decoded to measure speed; any beginning of running text does


class ToGGUF(Component[Checkpoint, GGUFModel]):
    """Write weights, tokenizer and chat template into one file, and prove it in llama.cpp.

    The file is read back tensor by tensor; llama.cpp must give the ids that the tokenizer gives,
    the prompt that the chat template gives, and, to the quantization, the model's numbers. Writes
    `model.gguf`, a `Modelfile` for Ollama, and the tokenizer.
    """

    version: ClassVar[str] = "1.0.0"

    quantization: GGUFType = "q8_0"
    """How matrices are stored, in blocks of 32 weights: 8.5 bits a weight at `q8_0`, 6 and 5.5 at
    `q5_1` and `q5_0`, 5 and 4.5 at `q4_1` and `q4_0`. Below 8 bits the output head, and an
    embedding tied to it, stays at q8_0. `f16` takes widths that are no multiple of 32."""

    def run(self, inputs: Checkpoint, out: Path) -> GGUFModel:
        """Export into `out`, check it, then decode with both models in turns.

        Raises:
            ValueError: llama.cpp cannot run such a model, or does not run it as it was trained.
        """
        import torch

        from components.compress.gguf.check import check_reading, check_tensors, compare
        from components.compress.gguf.export import export_gguf
        from components.compress.gguf.ollama import modelfile
        from components.compress.gguf.server import check_template
        from components.lib.inference.decode_speed import decode_tokens_per_second
        from components.lib.inference.llama.gguf_model import GGUF_FILE, LlamaCppModel
        from components.lib.inference.torch_model import TorchModel
        from components.lib.models.companions import copy_tokenizer
        from components.lib.models.folders import load_model, load_tokenizer

        torch.set_num_threads(settings().num_threads)
        file = out / GGUF_FILE
        export_gguf(inputs.path, file, self.quantization)
        copy_tokenizer(inputs.path, out)
        model, tokenizer = load_model(inputs.path), load_tokenizer(inputs.path)
        counts = check_tensors(file, model, self.quantization)
        exported = LlamaCppModel(out, num_threads=settings().num_threads)
        ends = _ends(inputs.path, tokenizer)
        check_reading(exported, tokenizer, ends)
        if tokenizer.chat_template is not None:
            check_template(file, tokenizer)
        write_atomically(out / "Modelfile", modelfile(GGUF_FILE, tokenizer, ends))
        original = TorchModel(model)
        agreement = compare(original, exported, self.quantization, tokenizer)
        prompt = tokenizer.encode(_PROMPT, add_special_tokens=False)
        before, after = decode_tokens_per_second([original, exported], prompt)
        return GGUFModel(
            path=out,
            num_parameters=inputs.num_parameters,
            quantization=self.quantization,
            tensors=counts,
            context_length=exported.context_length,
            disagreement=agreement.disagreement,
            same_choice=agreement.same_choice,
            bytes_on_disk=size_of(out, GGUF_FILE),
            decode_tokens_per_second=after,
            original_bytes_on_disk=inputs.bytes_on_disk,
            original_decode_tokens_per_second=before,
        )


def _ends(folder: Path, tokenizer: "PreTrainedTokenizerFast") -> frozenset[int]:
    """Return the ids that end an answer of the model in `folder`."""
    from components.lib.models.config import end_ids
    from components.lib.text.chat import answer_end

    found = end_ids(folder)
    return found | {answer_end(tokenizer)} if tokenizer.chat_template is not None else found
