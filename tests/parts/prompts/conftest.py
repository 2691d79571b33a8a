from tests.parts.recording.conftest import grammar

__all__ = ["grammar"]
