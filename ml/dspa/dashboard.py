"""Where the dashboard of OpenShift AI, or Open Data Hub, shows runs: a setting says it, or the cluster does.

2.x shows them at https://rhods-dashboard-<namespace>.<apps>/experiments/…, and 3.x behind its gateway at
https://rh-ai.<apps>/develop-train/experiments/… (data-science-gateway.<apps> before 3.4). Every 3.x up to 3.6
sends the paths of 2.x on to its own, so these serve where the generation does not show. Read in the sources
of the dashboard and of both operators.
"""

import re
from urllib.parse import urlparse

from ml.core.kubernetes import Api, NotReadable

PAGE = re.compile(r"(?P<site>https?://(?P<host>[\w.-]+)(:\d+)?)(?P<path>(/[^\s?#]*)?)([?#]\S*)?", re.ASCII)
"""The address of a page, as a browser shows it; a password has no place in it."""

GATEWAYS = ("rh-ai", "data-science-gateway")
"""How the host of a 3.x begins, unless its site has named it."""

NEWER = "/develop-train/"
"""How the paths of 3.x begin, where a page has to do with training."""

LINKS = ("rhodslink", "odhlink")
"""What the operators name their link in OpenShift's console; every account may read it (4.12 to 4.22)."""


def experiments_page(address: str) -> str:
    """Return where a dashboard has its experiments, from the address of any of its pages.

    Raises:
        ValueError: it is no address, or holds a password.
    """
    found = PAGE.fullmatch(address.strip())
    if not found:
        raise ValueError("not an address")
    newer = found["host"].partition(".")[0] in GATEWAYS or found["path"].startswith(NEWER)
    return f"{found['site']}{NEWER if newer else '/'}experiments"


def find_experiments(host: str, route: str, api: Api) -> str:
    """Return where the dashboard beside a DSPA has its experiments, "" where that is not known.

    Args:
        host: the DSPA's address.
        route: how its Route's host begins, as the operator names it.
        api: the cluster that this pod, or the kubeconfig, belongs to.
    """
    name, _, domain = (urlparse(host).hostname or "").partition(".")
    inside = domain.endswith((".svc", ".svc.cluster.local"))
    if not inside and name != route:
        return ""
    linked = _linked(api)
    # A kubeconfig may be that of another cluster.
    if linked and (inside or urlparse(linked).netloc.endswith(f".{domain}")):
        return linked
    # Dashboards from 3.4 on redirect this host to their own.
    return "" if inside else f"https://rhods-dashboard-redhat-ods-applications.{domain}/experiments"


def _linked(api: Api) -> str:
    """Return the experiments of the dashboard to which OpenShift's console links, "" for none."""
    about = {"group": "console.openshift.io", "version": "v1", "plural": "consolelinks"}
    try:
        items = api.read_json("CustomObjectsApi", "list_cluster_custom_object", **about)["items"]
        hrefs = {item["metadata"]["name"]: item["spec"]["href"] for item in items}
        return next((experiments_page(hrefs[name]) for name in LINKS if name in hrefs), "")
    except (NotReadable, AttributeError, KeyError, TypeError, ValueError):
        # A link is a convenience: without it the run is named by its address at the API.
        return ""
