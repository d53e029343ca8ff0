"""The Kubeflow pipeline: the graph, its thin components, how it is compiled, and how it runs here.

The only room that imports kfp. Start reading at `training_pipeline`, which looks like the picture in the
README.
"""
