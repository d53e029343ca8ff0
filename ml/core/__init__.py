"""What every room uses: errors, files, canonical JSON, records, the clock, signals, settings.

It imports no other room and nothing heavy. Start reading at `errors`, which has the exit codes.
"""
