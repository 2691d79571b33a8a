"""Samples on disk: identity, keys, shards, resume; files that appear whole or not at all; pictures as bytes."""
