"""The two container images: the key of their dependencies, the build, the assembly and the registry client.

This room may import the rooms below `ml.dspa`, and needs little more than `ml.core`. In a cluster it needs no
container engine: a registry client pushes the layers. Start reading at `key`, then at `assemble`.
"""
