"""The address of a run in the dashboard of OpenShift AI or Open Data Hub, from a setting or from the cluster.

Version 2.x shows runs at https://rhods-dashboard-<namespace>.<apps>/experiments/…, and 3.x at
https://rh-ai.<apps>/develop-train/experiments/… (data-science-gateway.<apps> before 3.4). Every 3.x up to 3.6
redirects the paths of 2.x, so those are used if the version is not known. Source: the code of the dashboard
and of both operators.
"""

import re
from urllib.parse import urlparse

from ml.core.kubernetes import Api, NotReadable

PAGE = re.compile(r"(?P<site>https?://(?P<host>[\w.-]+)(:\d+)?)(?P<path>(/[^\s?#]*)?)([?#]\S*)?", re.ASCII)
"""The address of a page as a browser shows it, without a password."""

GATEWAYS = ("rh-ai", "data-science-gateway")
"""First labels of the host of a 3.x dashboard, unless the site chose its own."""

NEWER = "/develop-train/"
"""First part of the paths of 3.x for pages about training."""

LINKS = ("rhodslink", "odhlink")
"""Names of the operators' ConsoleLinks; every account may read them (OpenShift 4.12 to 4.22)."""


def experiments_page(address: str) -> str:
    """Return the address of a dashboard's experiments, from the address of any of its pages.

    Raises:
        ValueError: it is not an address, or contains a password.
    """
    page = PAGE.fullmatch(address.strip())
    if not page:
        raise ValueError("not an address")
    newer = page["host"].partition(".")[0] in GATEWAYS or page["path"].startswith(NEWER)
    return f"{page['site']}{NEWER if newer else '/'}experiments"


def find_experiments(host: str, route: str, api: Api) -> str:
    """Return the address of the experiments in the dashboard of a DSPA's cluster, "" if it is not known.

    Args:
        host: the DSPA's address.
        route: the first label of its Route's host, as the operator names it.
        api: the cluster that this pod, or the kubeconfig, belongs to.
    """
    name, _, domain = (urlparse(host).hostname or "").partition(".")
    inside = domain.endswith((".svc", ".svc.cluster.local"))
    if not inside and name != route:
        return ""
    linked = _linked(api)
    # The kubeconfig may belong to another cluster.
    if linked and (inside or urlparse(linked).netloc.endswith(f".{domain}")):
        return linked
    # Dashboards from 3.4 on redirect this host to their own.
    return "" if inside else f"https://rhods-dashboard-redhat-ods-applications.{domain}/experiments"


def _linked(api: Api) -> str:
    """Return the experiments of the dashboard that OpenShift's console links to, "" for none."""
    about = {"group": "console.openshift.io", "version": "v1", "plural": "consolelinks"}
    try:
        items = api.read_json("CustomObjectsApi", "list_cluster_custom_object", **about)["items"]
        hrefs = {item["metadata"]["name"]: item["spec"]["href"] for item in items}
        return next((experiments_page(hrefs[name]) for name in LINKS if name in hrefs), "")
    except (NotReadable, AttributeError, KeyError, TypeError, ValueError):
        # The link is optional: without it the run's address in the API is shown.
        return ""
