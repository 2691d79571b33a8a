"""The small world: streets in two styles, a picture book, and the small models that learn from the book."""
