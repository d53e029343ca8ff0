"""A problem to begin with: `jukebox init NAME` copies it under another name. Its data are made up.

Put your tables into `definition`, your thresholds into `policy`, and your model into `solution`; the tests
say what must hold. docs/how-to/gate-your-own-model.md takes you through it.
"""
