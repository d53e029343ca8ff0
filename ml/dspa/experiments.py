"""The experiment of a submission: found by its name, or created."""

from ml.core.errors import UsageError
from ml.dspa.answers import Experiment
from ml.dspa.failures import Rejected, Unavailable
from ml.dspa.session import Session
from ml.dspa.timeouts import Deadline


def find_experiment(session: Session, name: str) -> Experiment:
    """Return the experiment; create it if it does not exist.

    Raises:
        UsageError: one with another case of the name exists, and the server does not distinguish them.
        PlatformError: it can be neither read nor created.
    """

    def get_or_create(within: float) -> Experiment:
        deadline = Deadline(within)
        existing = session.client.experiments(name, deadline.remaining)
        if existing:
            return _of_name(existing, name)
        try:
            return session.client.create_experiment(name, deadline.remaining)
        except Rejected as error:
            if error.status != 409:
                raise
        # Another client created it between the two calls.
        existing = session.client.experiments(name, deadline.remaining)
        if not existing:
            raise Unavailable(f"the experiment {name} exists, but is not listed")
        return _of_name(existing, name)

    experiment = session.ask(get_or_create)
    if experiment.archived:
        session.say(f"note: the experiment {name} is archived, and so are its runs in the dashboard")
    return experiment


def _of_name(existing: list[Experiment], name: str) -> Experiment:
    """Return the experiment whose name matches in case."""
    same = [experiment for experiment in existing if experiment.display_name == name]
    if not same:
        raise UsageError(
            f"--experiment {name}: the DSPA has {existing[0].display_name} and ignores case; give that name"
        )
    return same[0]
