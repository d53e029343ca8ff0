"""The gate: reports in, verdict out.

Pure and cheap: no I/O, and nothing imported but the standard library, pydantic and yaml, so that an auditor
can read all of it and any process can afford to decide again. Start reading at `verdict`, then at
`registry` and `subjects`.
"""
