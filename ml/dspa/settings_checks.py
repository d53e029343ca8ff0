"""The check of `jukebox doctor` on the settings of a checkout: kustomize ignores unknown names."""

import re
from pathlib import Path

from ml.dspa.doctor_check import Failed

KNOWN = Path("tekton/settings/kustomization.yaml")
"""Names every setting, with the places that it is written to."""


def check_settings(checkout: Path) -> str:
    """Check that the overlays set only what there is, and return how many files were read.

    Raises:
        Failed: a name is no setting, so that the default would count in its place.
    """
    known = set(re.findall(r"fieldPath: data\.([A-Z_]+)", (checkout / KNOWN).read_text(encoding="utf-8")))
    files = sorted(checkout.glob("tekton/overlays/*/settings.env"))
    for file in files:
        names = re.findall(r"^\s*([^#=\s]+)\s*=", file.read_text(encoding="utf-8"), re.MULTILINE)
        if unknown := [name for name in names if name not in known]:
            raise Failed(
                f"{file.relative_to(checkout)}: {unknown[0]} is no setting, and its line has no effect",
                "correct the name; tekton/settings/defaults/settings.env has the shared ones",
            )
    return f"{len(files)} overlays"
