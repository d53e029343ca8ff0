"""Tables in, training examples out: sources, the data contract, profile and drift, split, snapshots.

It imports the gate for the shape of its reports, and nothing that trains or serves. Start reading at
`contract`, then at `preprocess`.
"""
