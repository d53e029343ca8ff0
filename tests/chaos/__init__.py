"""Seeded schedules of everything that goes wrong between `jukebox submit` and a DSPA, and what must hold.

`schedules` draws a schedule from a seed, `world` lives it through, `invariants` says what must hold whatever
happened. `python -m chaos SEED` (in tests/) lives through one schedule again, and tells the story.
"""
