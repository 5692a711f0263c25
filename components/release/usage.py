"""How a released model is used without code of ours: what its card shows."""

from collections.abc import Iterator

from components.core.artifacts.models import CompressedModel, GGUFModel


def kind_of(compressed: CompressedModel) -> str:
    """Return the format of an export, which its folder in a release is called by."""
    return "gguf" if isinstance(compressed, GGUFModel) else "onnx"


def usage(compressed: CompressedModel | None) -> str:
    """Return examples that run in the folder of the card."""
    return "\n\n".join(_examples(compressed))


def _examples(compressed: CompressedModel | None) -> Iterator[str]:
    yield """With transformers, in the folder of this card:

```python
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(".")
model = AutoModelForCausalLM.from_pretrained(".")
messages = [{"role": "user", "content": "Sort: 5 2 9"}]
inputs = tokenizer.apply_chat_template(
    messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
)
made = model.generate(**inputs, max_new_tokens=32)
print(tokenizer.decode(made[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))
```"""
    if compressed is None:
        return
    speed = compressed.decode_tokens_per_second
    ratio = speed / compressed.original_decode_tokens_per_second
    if isinstance(compressed, GGUFModel):
        yield f"""With llama.cpp, {ratio:.1f} times as fast where it was measured, or Ollama:

```sh
llama-cli -m gguf/model.gguf -cnv
ollama create mine -f gguf/Modelfile
```"""
        return
    yield f"""With ONNX Runtime GenAI, {ratio:.1f} times as fast where it was measured:

```python
import onnxruntime_genai as og

model = og.Model("onnx")
tokenizer = og.Tokenizer(model)
messages = '[{{"role": "user", "content": "Sort: 5 2 9"}}]'
prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True)
parameters = og.GeneratorParams(model)
parameters.set_search_options(max_length=128)
generator = og.Generator(model, parameters)
generator.append_tokens(tokenizer.encode(prompt))
while not generator.is_done():
    generator.generate_next_token()
print(tokenizer.decode(generator.get_sequence(0)))
```"""
