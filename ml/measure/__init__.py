"""What is measured of probabilities: metrics, resampling, slices, baselines, comparison with the champion.

Numbers in, report models of the gate out: no files, no models, no runtimes. It may import the data room and
below. Start reading at `metrics`, then at `evaluation` and `champion`.
"""
