"""A small problem beside the jukebox: handwritten digits (scikit-learn's own data) and logistic regression."""
