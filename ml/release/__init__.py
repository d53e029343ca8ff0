"""What happens to a model after its run: it is stored, promoted, published and rolled back.

Signatures of attestations are made and verified here, too. It imports `gate`, `storage` and `core`, and
nothing that measures or trains. Start reading at `promotion`, then at `log`.
"""
