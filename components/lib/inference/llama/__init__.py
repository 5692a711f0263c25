"""llama.cpp: GGUF files read, run and served."""
