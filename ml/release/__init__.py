"""What happens to a model that has passed: it is stored, attested, promoted, rolled back.

It imports the gate and the storage only, and never what measures or trains. Start reading at `promotion`,
then at `log`.
"""
