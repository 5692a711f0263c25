"""Small models of every class that the GGUF export knows, each layer of which counts."""

import pytest
import torch

from components.lib.models.folders import load_tokenizer, save_model


@pytest.fixture(scope="session")
def make(vocabulary):
    """Return a function that makes a random model of a class and saves it with a tokenizer."""

    def made(kind, config, folder, **sizes):
        tokenizer = load_tokenizer(vocabulary.path)
        common = {
            "vocab_size": vocabulary.vocab_size,
            "hidden_size": 64,
            "intermediate_size": 96,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 64,
            "bos_token_id": tokenizer.eos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
            "tie_word_embeddings": True,
        }
        torch.manual_seed(0)
        model = kind(config(**{**common, **sizes})).eval()
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if parameter.dim() > 1:
                    parameter.normal_(std=0.15)
                elif "norm" in name:
                    parameter.uniform_(0.5, 1.5)
                else:
                    parameter.normal_(std=0.3)
        save_model(model, vocabulary.path, folder)
        return model

    return made
