"""Every page and picture that follows from the code, by its path, and what writes it."""

from functools import cache

from .exit_codes import exit_codes_page
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
SCHEMAS = "docs/reference/schemas"


@cache
def generated() -> dict[str, str]:
    """Return the text of every generated file by its path."""
    texts = {path: written() for path, written in PAGES.items()}
    return texts | {f"{SCHEMAS}/{name}": text for name, text in schemas().items()}
