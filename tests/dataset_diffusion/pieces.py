"""A tokenizer of CLIP's kind whose words fall into given pieces."""

from __future__ import annotations

from collections.abc import Sequence

from transformers import CLIPTokenizer

LETTERS = "abcdefghijklmnopqrstuvwxyz,;-"


def tokenizer_of(words: Sequence[Sequence[str]], longest: int = 77) -> CLIPTokenizer:
    """words: the pieces of each, ("aerop", "lane"); any other word falls into letters."""
    vocabulary, merges = [letter + end for letter in LETTERS for end in ("", "</w>")], dict[tuple[str, str], None]()
    for pieces in words:
        for piece in pieces:
            last, head = piece is pieces[-1], piece[0]
            for place, letter in enumerate(piece[1:], 2):
                tail = letter + ("</w>" if last and place == len(piece) else "")
                merges[head, tail] = None
                head += tail
                vocabulary.append(head)
    vocabulary = [*dict.fromkeys(vocabulary), "<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(
        vocab={token: number for number, token in enumerate(vocabulary)}, merges=list(merges), model_max_length=longest
    )


# As CLIP's own vocabulary splits them.
CLIP_LIKE = [
    ["aerop", "lane"], ["fire"], ["hydr", "ant"], ["surf", "board"], ["person"], ["laptop"], ["dog"], ["tv"],
    ["monitor"], ["dining"], ["table"], ["chair"], ["hot"], ["teddy"], ["bear"], ["hair"], ["drier"], ["bus"], ["car"],
]  # fmt: skip
