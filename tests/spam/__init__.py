"""A made-up problem for tests: messages, each with some people's votes on whether it is spam.

It has what the others lack together: two classes, labels with a space and an umlaut, two tables, several
rows an example, titles, near copies and a family of slices.
"""
