"""The one exception that a user is meant to read."""


class GraftError(Exception):
    """Something a user can mend, said in one sentence that names the file, the key and the fix."""
