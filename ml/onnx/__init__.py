"""The exported model: conversion and its checks, the runtimes, parity with the trained model, the model
server.

A trained model is asked through its `ml.problem.Solution`, or, in the one format that the judge loads,
through `keras_file`. Nothing here knows pipelines or releases. Start reading at `conversion`, then at
`parity` and `serving`.
"""
