"""The model: train, evaluate, convert, compare, serve. Plain functions, paths in, paths out.

TensorFlow is imported only in functions that train, convert or answer as Keras. It knows neither pipelines
nor releases. Start reading at `training`, then at `evaluation` and `parity`.
"""
