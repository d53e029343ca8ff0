"""The pages and pictures that follow from the code: `python -m tests.docs` writes them again."""
