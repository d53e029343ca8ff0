"""Objects by URI: folders and buckets behind one small interface (obstore).

It imports `ml.core` only. Start reading at `objects`; what S3 takes from the environment is in `s3`.
"""
