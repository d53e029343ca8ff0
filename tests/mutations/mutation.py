"""A mutation: edits of passing reports, and what cannot but fail with the check that they are for."""

from typing import Any, NamedTuple


class Mutation(NamedTuple):
    """Edits of passing reports by dotted path, and checks that cannot but fail together with this one."""

    edits: dict[str, Any]
    others: frozenset[str] = frozenset()
    warns: bool = False

    def edits_beside(self, champion: str) -> dict[str, Any]:
        """Give the edits of reports that were made beside a champion, or "" for none."""
        return {
            path: new
            for path, new in self.edits.items()
            if champion or not path.startswith(("evaluation.champion.", "data_report.drift."))
        }

    @property
    def blocking(self) -> frozenset[str]:
        """Those of the others that block, too: an early warning does not."""
        return frozenset(name for name in self.others if not name.endswith(".early"))
