"""Writing an object: payloads become chunks, chunks are acknowledged, then committed."""
