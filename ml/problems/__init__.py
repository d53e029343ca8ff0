"""The problems of this repository, a package each; `jukebox init` adds one.

A problem may import any room but the command line. No room imports a problem: `ml.problem` loads it by its
name. Start reading at `songs.definition`, then at `songs.solution`.
"""

DEFAULT = "songs"
"""The problem that is meant where none is named."""
