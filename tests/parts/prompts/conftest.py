from tests.parts.recording.conftest import grammar, tokenizer

__all__ = ["grammar", "tokenizer"]
