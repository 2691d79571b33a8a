"""What this machine would compute with, and whether it computes what was recorded: a page for a report of a fault."""
