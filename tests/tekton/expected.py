"""Who may do what in the Pipeline: exact tables. A new secret, right, folder or network needs a line here."""

from typing import Any

DEFAULTS = {
    **{f"{name}-secret": f"jukebox-{name}" for name in ("report", "store", "holdout", "judge", "promotion")},
    "sealing-key-secret": "jukebox-holdout-key",
    "signing-secret": "jukebox-signing-key",
}
"""The secrets of the Pipeline: one for each purpose."""

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

OWNERS = {(step.partition("/")[0], secret) for step, secrets in SECRETS.items() for secret in secrets}
OWNERS |= {("compile-pipeline", "$(params.store-secret)")}
"""The Tasks that take each secret; compile-pipeline takes only its name, which it writes into the IR."""

CONFIG_MAPS = {
    **dict.fromkeys(("jukebox-ca", "jukebox-registry-ca", "jukebox-policy", "jukebox-sigstore"), True),
    "jukebox-trust": False,
}
"""Whether each config map is optional: without the trust root nothing is promoted."""

RESULTS = {
    "fetch-source": ("commit",),
    "holdout": ("data-version", "snapshot", "holdout-version"),
    "toolchain": ("tools-dependencies", "test-dependencies", "component-dependencies"),
    "build-image": ("image",),
    "compile-pipeline": ("ir-digest",),
    "submit-run": ("candidate", "asked"),
    "measure": ("measured",),
}
PRODUCERS = {name: task for task, names in RESULTS.items() for name in names}
"""The params that are results; all others are the Pipeline's params of the same name, but for `SPECIAL`."""

SPECIAL = {"attempt": "$(context.pipelineRun.uid)", "context": "$(params.report-context)"}
MOUNTS = {
    "fetch-source": {"shared", "outcome", "git-credentials"},
    "holdout": {"outcome"},
    "answer": {"shared", "outcome"},
    "toolchain": {"shared", "pip-settings"},
    **{name: {"shared"} for name in ("lint", "unit-test", "build-image", "compile-pipeline")},
    "submit-run": {"shared", "outcome", "judge"},
    "measure": {"judge"},
    "promote": {"judge", "outcome"},
    "report": {"outcome"},
    "verdict": {"outcome"},
}
FOLDERS = {"shared": "commit", "outcome": "outcome", "judge": "judge"}
"""The folder of the run's volume by workspace of a Task; other workspaces are the run's of the same name."""

READ_ONLY = {"answer", "toolchain", "lint", "unit-test", "build-image", "submit-run"}
"""The Tasks that must not change the checkout for later ones."""

JUDGES = {"submit-run/download", "measure/score", "promote/sign", "promote/promote"}
"""The steps that mount the judge's folder as a whole."""

WORK = "judge/work"
SEEN = {
    (f"{WORK}/{name}", name != "answers")
    for name in ("asked.json", "model", "champion", "features", "answers")
}
"""What infer mounts of the judge's folder, and whether it is read only."""

IDEMPOTENT = set(
    "fetch-source toolchain build-image holdout answer submit-run measure promote report".split()
)
"""The tasks that may be retried."""

ROLES = {
    "toolchain": "jukebox-build",
    "build-image": "jukebox-build",
    **{name: f"jukebox-{name}" for name in ("holdout", "answer", "measure", "promote")},
    "submit-run": "jukebox-submit",
}
"""The service accounts of tasks; all others run as jukebox-ci."""

TOKENS = {"jukebox-answer", "jukebox-submit", "jukebox-promote", "jukebox-listener"}
"""The service accounts whose pods get a token."""

CHAINS = {
    "CHAINS-GIT_URL": "$(tasks.fetch-source.results.CHAINS-GIT_URL)",
    "CHAINS-GIT_COMMIT": "$(tasks.fetch-source.results.CHAINS-GIT_COMMIT)",
    "IMAGE_URL": "$(tasks.build-image.results.IMAGE_URL)",
    "IMAGE_DIGEST": "$(tasks.build-image.results.IMAGE_DIGEST)",
    "model-ARTIFACT_OUTPUTS": {
        "uri": "$(tasks.submit-run.results.MODEL_URI)",
        "digest": "$(tasks.submit-run.results.MODEL_DIGEST)",
    },
}
"""The results that Tekton Chains reads by name; it leaves out what it cannot read, without an error."""

READ, DSPA = "get list watch", "datasciencepipelinesapplications"
RIGHTS = {
    "jukebox-listener": {
        *(
            f"triggers.tekton.dev/{kind}: {READ}"
            for kind in ("eventlisteners", "triggers", "triggerbindings")
        ),
        *(f"triggers.tekton.dev/{kind}: {READ}" for kind in ("triggertemplates", "interceptors")),
        "tekton.dev/pipelineruns: create",
        "/events: create patch",
    },
    "jukebox-listener.NAMESPACE": {
        f"triggers.tekton.dev/{kind}: {READ}" for kind in ("clusterinterceptors", "clustertriggerbindings")
    },
    "jukebox-submit": {
        f"{DSPA}.opendatahub.io/{DSPA}/api dspa: get create",
        "route.openshift.io/routes ds-pipeline-dspa: get",
    },
    "jukebox-reasons": {"/pods: list", "/events: list", "/pods/log: get"},
    "jukebox-own-runs": {"tekton.dev/taskruns: get", "tekton.dev/pipelineruns: get"},
    "jukebox-promote": {"/configmaps jukebox-head: get patch"},
    "jukebox-supersede": {"tekton.dev/pipelineruns: get list patch"},
}
SUBJECTS = {
    "jukebox-reasons": "jukebox-submit",
    "jukebox-own-runs": "jukebox-submit",
    "jukebox-supersede": "jukebox-answer",
    "jukebox-push-images": "jukebox-push",
    "jukebox-build-scc": "jukebox-build",
    "jukebox-listener.NAMESPACE": "jukebox-listener",
}
"""The service account of each binding; of all others, the account of the same name."""

OTHERS_ROLES = {
    "jukebox-push-images": "system:image-builder",
    "jukebox-build-scc": "pipelines-scc-clusterrole",
}
IN_RUNS = {f"{kind} jukebox-{name}" for kind in ("Role", "RoleBinding") for name in ("submit", "reasons")}
IN_RUNS |= {"NetworkPolicy jukebox-runs"}
"""The objects in the namespace of the runs."""

CODE = {
    "key": "tekton.dev/task",
    "operator": "In",
    "values": ["lint", "unit-test", "compile-pipeline", "measure"],
}
FENCES: dict[str, tuple[dict[str, Any], str, list[str]]] = {
    "jukebox-pods": ({"matchLabels": {"tekton.dev/pipeline": "jukebox-train"}}, "Ingress", []),
    "jukebox-code": ({"matchExpressions": [CODE]}, "Ingress Egress", []),
    "jukebox-holdout": ({"matchLabels": {"tekton.dev/task": "holdout"}}, "Ingress Egress", ["store", "dns"]),
    "jukebox-listener": ({"matchLabels": {"eventlistener": "jukebox"}}, "Ingress", []),
    "jukebox-runs": ({}, "Ingress Egress", ["store", "dns", "pods", "api"]),
}
"""The pods of each network policy, its types, and the destinations that it allows."""

RESTRICTED = {
    "runAsNonRoot": True,
    "readOnlyRootFilesystem": True,
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}
BUILDER = {"runAsNonRoot": False, "runAsUser": 0, "allowPrivilegeEscalation": False}
BUILDERS = {
    "openshift": {
        **BUILDER,
        "capabilities": {"add": ["SETFCAP"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    },
    "kubernetes": {
        **BUILDER,
        "capabilities": {"drop": ["ALL"], "add": ["SETFCAP", "SETGID", "SETUID"]},
        "seccompProfile": {"type": "Unconfined"},
    },
}
"""The rights of the step that builds, by overlay."""
