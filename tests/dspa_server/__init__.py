"""A double of the Data Science Pipelines API (KFP v2beta1): a real server, its manners, and its faults.

    dspa = Dspa(profile="2.16")
    with serving(dspa):
        ...  # dspa.url

`Dspa` says how it behaves and remembers what it was asked; `Script` says how a run goes; `Fault` says what
goes wrong with one request; `execution.kfp_local` executes runs.
"""

from dspa_server.execution import kfp_local
from dspa_server.faults import Fault
from dspa_server.profiles import PROFILES, Profile
from dspa_server.records import Experiment, Request, RunRecord, Script
from dspa_server.server import serving
from dspa_server.state import Dspa

__all__ = [
    "PROFILES",
    "Dspa",
    "Experiment",
    "Fault",
    "Profile",
    "Request",
    "RunRecord",
    "Script",
    "kfp_local",
    "serving",
]
