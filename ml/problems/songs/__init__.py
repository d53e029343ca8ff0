"""The jukebox: in which countries' charts is a song, told from its audio features?

The definition reads two tables: chart rows, and songs with their features. The solution is a Keras network on
soft labels. Start reading at `definition`, then at `solution` and `network`.
"""
