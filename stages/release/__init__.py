"""What the small models can do, measured, and where they are kept."""
