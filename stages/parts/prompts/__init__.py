"""Prompts, and where the class word stands in them: grammars and captions."""
