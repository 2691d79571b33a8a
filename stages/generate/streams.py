"""A sample is its class and its seed: every random number it needs comes from a stream of its own."""

from __future__ import annotations

import hashlib


def stream(class_name: str, seed: int, purpose: str) -> int:
    """The 64-bit seed of one stream of one sample: the head of sha256(class, seed, purpose).

    Streams of other classes, seeds or purposes are independent of it, so the number of samples, their order
    and the way they are batched never change what a sample draws. `purpose` is "prompt" or "noise" in this
    room. (torch's CPU generator keeps the low 32 bits: among 10 000 samples two share their noise with a
    chance of about one in a hundred, and their prompts are still drawn apart.)"""
    return int.from_bytes(hashlib.sha256(repr((class_name, seed, purpose)).encode()).digest()[:8], "big")
