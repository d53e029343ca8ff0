"""The Kubeflow pipeline: the graph, its thin components, how it is compiled, and how it runs here."""
