"""The small world: the objects and the streets that it is rendered of."""
