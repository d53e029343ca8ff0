"""The verbs of the command `jukebox`: with `ml.cli`, the only modules that print to a person."""
