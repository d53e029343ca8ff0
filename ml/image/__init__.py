"""The two images: the key of what they depend on, how they are built and assembled, what they lack.

It runs where no container engine may: layers are pushed by a registry client. Start reading at `key`, then
at `assemble`.
"""
