"""The scenes that tests of train make."""

from tests.train.conftest import root, world

__all__ = ["root", "world"]
