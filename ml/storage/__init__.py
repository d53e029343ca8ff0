"""Objects by URI: folders and buckets behind one small interface (obstore).

It imports `ml.core` only. Start reading at `objects`. `s3` has the settings that the environment gives, and
`credentials` finds out who asks.
"""
