"""jukebox: continuous training whose releases can be trusted."""

__version__ = "0.1.0"
