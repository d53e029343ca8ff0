"""A made-up problem for tests: messages, each with some people's votes on whether it is spam."""
