"""Who may do what in the Pipeline: exact tables. A new secret, right, folder or network needs a line here."""

SECRETS = {
    "toolchain/look-up": {"jukebox-registry"},
    "toolchain/build": {"jukebox-pull"},
    "toolchain/push": {"jukebox-registry"},
    "build-image/assemble": {"jukebox-registry"},
    "answer/answer": {"jukebox-registry", "$(params.judge-secret)"},
    "holdout/holdout": {"$(params.holdout-secret)", "$(params.sealing-key-secret)"},
    "submit-run/submit": {"$(params.store-secret)"},
    "submit-run/download": {"$(params.judge-secret)"},
    "promote/sign": {"$(params.signing-secret)"},
    "promote/promote": {"$(params.promotion-secret)"},
    "report/report": {"$(params.report-secret)"},
    "verdict/verdict": {"$(params.promotion-secret)"},
}
"""The secrets of each step, as variables or volumes; other steps have none."""

OPTIONAL = {f"jukebox-{name}": True for name in "ca registry-ca policy sigstore registry pull".split()}
OPTIONAL["jukebox-trust"] = False
"""Whether each config map or secret of a volume may be absent: without the trust root nothing is promoted."""

FOLDERS = {"shared": "commit", "outcome": "outcome", "judge": "judge"}
"""The folder of the run's volume by workspace of a Task; other workspaces are the run's of the same name."""

SPACES = {
    "fetch-source": "shared outcome git-credentials",
    "answer": "shared- outcome",
    "toolchain": "shared- pip-settings",
    **dict.fromkeys(("lint", "unit-test", "build-image"), "shared-"),
    "compile-pipeline": "shared",
    "submit-run": "shared- outcome judge",
    **{"holdout": "outcome", "measure": "judge", "promote": "judge outcome"},
    **dict.fromkeys(("report", "verdict"), "outcome-"),
}
"""The workspaces of each Task; ``-`` is read only."""

JUDGES = {"submit-run/download", "measure/score", "promote/sign", "promote/promote"}
"""The steps that mount the judge's folder as a whole."""

RETRIED = "fetch-source toolchain build-image holdout answer submit-run measure promote report".split()
"""The tasks that may be retried: with others a failure could become a pass."""

ROLES = {
    **dict.fromkeys(("toolchain", "build-image"), "jukebox-build"),
    **{name: f"jukebox-{name}" for name in ("holdout", "answer", "measure", "promote")},
    "submit-run": "jukebox-submit",
}
"""The service accounts of tasks; all others run as jukebox-ci."""

DSPA = "datasciencepipelinesapplications"
TRIGGERS = "get list watch triggers.tekton.dev"
RIGHTS = {
    "jukebox-listener": {
        f"home: {TRIGGERS} eventlisteners triggers triggerbindings triggertemplates interceptors",
        f"cluster: {TRIGGERS} clusterinterceptors clustertriggerbindings",
        "home: create tekton.dev pipelineruns",
        "home: create patch - events",
    },
    "jukebox-submit": {
        f"runs: get create {DSPA}.opendatahub.io {DSPA}/api dspa",
        "runs: get route.openshift.io routes ds-pipeline-dspa",
        "runs: list - pods events",
        "runs: get - pods/log",
        "home: get tekton.dev taskruns pipelineruns",
    },
    "jukebox-promote": {"home: get patch - configmaps jukebox-head"},
    "jukebox-answer": {"home: get list patch tekton.dev pipelineruns"},
}
"""The rights of each service account, and where; only these accounts have a token."""

OPENSHIFT = {
    "jukebox-push": {"home: ClusterRole system:image-builder"},
    "jukebox-build": {"home: ClusterRole pipelines-scc-clusterrole"},
}
"""What OpenShift adds to the rights."""

CODE = {
    "key": "tekton.dev/task",
    "operator": "In",
    "values": ["lint", "unit-test", "compile-pipeline", "measure"],
}
STORE, DNS, API = "[443] ipBlock", "[53, 5353] ipBlock namespaceSelector", "[6443] "
FENCES = {
    "jukebox-pods": ("home", {"matchLabels": {"tekton.dev/pipeline": "jukebox-train"}}, [], None),
    "jukebox-code": ("home", {"matchExpressions": [CODE]}, [], []),
    "jukebox-holdout": ("home", {"matchLabels": {"tekton.dev/task": "holdout"}}, [], [STORE, DNS]),
    "jukebox-listener": ("home", {"matchLabels": {"eventlistener": "jukebox"}}, ["[8080] "], None),
    "jukebox-runs": (
        "runs",
        {},
        ["[] namespaceSelector podSelector"],
        [STORE, DNS, "[] podSelector", API],
    ),
}
"""Where each network policy is, its pods, and what it lets in and out; None is everything."""

RESTRICTED = {
    "runAsNonRoot": True,
    "readOnlyRootFilesystem": True,
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}
BUILDER = {"runAsNonRoot": False, "runAsUser": 0, "allowPrivilegeEscalation": False}
SANDBOX = {"add": ["SETFCAP"]}, {"drop": ["ALL"], "add": ["SETFCAP", "SETGID", "SETUID"]}
BUILDERS = {
    "openshift": {**BUILDER, "capabilities": SANDBOX[0], "seccompProfile": {"type": "RuntimeDefault"}},
    "kubernetes": {**BUILDER, "capabilities": SANDBOX[1], "seccompProfile": {"type": "Unconfined"}},
}
"""The rights of the step that builds, by overlay; all others are restricted."""
