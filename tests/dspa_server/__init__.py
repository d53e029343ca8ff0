"""A double of the Data Science Pipelines API (KFP v2beta1) on a real socket.

`Dspa` holds settings and state, `serving` serves it. `Script` says how a run proceeds, `Fault` what goes
wrong with one request, `kfp_local` executes runs. `test_fidelity` and `test_conformance` check the double.
"""

from dspa_server.execution import kfp_local
from dspa_server.faults import Fault
from dspa_server.records import PROFILES, Request, RunRecord, Script
from dspa_server.server import serving
from dspa_server.state import Dspa

__all__ = ["PROFILES", "Dspa", "Fault", "Request", "RunRecord", "Script", "kfp_local", "serving"]
