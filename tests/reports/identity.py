"""What the reports are about: the digests and versions that must agree everywhere."""

import datetime

from ml.core.canonical import canonical_bytes, digest
from ml.gate.candidate import manifest_of

DAY = datetime.date(2026, 11, 25)
"""The day of all decisions."""

KERAS, ONNX = b"the weights", b"the graph"
PROFILE = canonical_bytes({"schema": "jukebox.profile/v1"})
DATA_VERSION = "59ddef4777eb0125"
SERVED = {
    "schema": "jukebox.served/v1",
    "runtime": "openvino",
    "settings": {"INFERENCE_PRECISION_HINT": "f32"},
}
"""``served.json``."""

DIGESTS = {
    "model.keras": digest(KERAS),
    "model.onnx": digest(ONNX),
    "test.parquet": digest(b"test songs"),
    "profile.json": digest(PROFILE),
    "served.json": digest(canonical_bytes(SERVED)),
}
CHAMPION, CHAMPION_ONNX = "c0ffee" + 58 * "1", b"the graph in production"
MANIFEST = manifest_of({"model.keras": KERAS, "model.onnx": ONNX, "served.json": canonical_bytes(SERVED)})
OTHER_DIGEST = digest(b"something else")
