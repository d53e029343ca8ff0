"""The reports that the gate reads: their exact shape, units and schema versions, a module a step."""
