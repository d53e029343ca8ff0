"""The two images: the key of what they depend on, how they are built, and what they are built without."""
