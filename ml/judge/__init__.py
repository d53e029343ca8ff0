"""The trusted side: it seals the holdout, measures candidates on it, and attests what it measured.

A candidate is a stranger's program: it gets features in a sandbox and writes probabilities, and another
process, which never loads it, scores them. Start reading at `attest`, then at `holdout`, `infer` and
`score`.
"""
