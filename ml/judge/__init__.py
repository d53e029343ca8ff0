"""The trusted side: it seals the holdout, measures candidates on it, and attests what it measured."""
