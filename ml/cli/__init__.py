"""The command `jukebox`: the only room that prints or exits.

A module for each group of verbs reads options, calls one function of another room and prints what comes back.
It may import every room, and none imports it. Start reading at `main`, then at `train`.
"""
