"""The exported model: conversion, runtimes, parity with the trained model, and the model server.

A trained model is asked through its `ml.problem.Solution`; the judge asks a Keras file through `keras_file`.
Nothing here knows pipelines or releases. Start reading at `conversion`, then at `parity`.
"""
