"""Today's date, for decisions that depend on it."""

import datetime


def today() -> datetime.date:
    """Return today's date in UTC."""
    return datetime.datetime.now(datetime.UTC).date()
