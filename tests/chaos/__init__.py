"""Seeded schedules of everything that goes wrong between `jukebox submit` and a DSPA, and what must hold.

`schedules` draws a schedule from a seed, `world` runs it, `invariants` checks what happened.
"""
