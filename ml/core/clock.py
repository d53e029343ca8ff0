"""The day, for whoever decides today."""

import datetime


def today() -> datetime.date:
    """Return the day (UTC)."""
    return datetime.datetime.now(datetime.UTC).date()
