"""The model: train, evaluate, convert, compare. Plain functions, paths in, paths out."""
