"""`python -m tests.docs` writes every generated page and picture; what has no source any more goes."""

import os

from .exit_codes import exit_codes_page
from .graphs import ROOT
from .picture import svg
from .policy import policy_page
from .schemas import schemas, schemas_page
from .settings import settings_page
from .states import states_page
from .tekton import tasks_readme, tekton_page
from .verbs import verbs_page

PAGES = {
    "docs/images/pipeline.svg": svg,
    "docs/reference/exit-codes.md": exit_codes_page,
    "docs/reference/policy.md": policy_page,
    "docs/reference/schemas.md": schemas_page,
    "docs/reference/settings.md": settings_page,
    "docs/reference/states.md": states_page,
    "docs/reference/tekton.md": tekton_page,
    "docs/reference/verbs.md": verbs_page,
    "tekton/tasks/README.md": tasks_readme,
}
SCHEMAS = ROOT / "docs" / "reference" / "schemas"

if __name__ == "__main__":
    # The pages are about no cluster that this machine may know.
    os.environ["KUBECONFIG"] = os.devnull
    texts = {ROOT / path: written() for path, written in PAGES.items()}
    texts |= {SCHEMAS / name: text for name, text in schemas().items()}
    for file, text in texts.items():
        if not file.exists() or file.read_text() != text:
            file.write_text(text)
            print(f"wrote {file.relative_to(ROOT)}")
    for file in {*SCHEMAS.glob("*.json")} - texts.keys():
        file.unlink()
        print(f"removed {file.relative_to(ROOT)}")
