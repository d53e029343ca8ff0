"""Stand in for `jukebox judge score`: reports that pass, about the candidate that is asked about.

``python -m tekton.measured WORK``; the results are written as Tekton's, as the verb does.
"""

import os
import sys
from pathlib import Path

from reports import DIGESTS, passing_reports

from ml.core.files import file_digest, write_json
from ml.judge.work import MEASURED, Measurement, read_asked


def main(work: Path) -> None:
    """Write ``measured.json`` and the result MEASURED."""
    asked, found = read_asked(work, os.environ["JUKEBOX_ASKED"])
    digests = {**DIGESTS, **{name: entry.digest for name, entry in asked.model.items()}}
    reports = passing_reports(digests, asked.champion if asked.is_compared else "")
    write_json(work / MEASURED, Measurement(asked=found, isolation={"dns": "a test"}, reports=reports))
    (Path(os.environ["JUKEBOX_RESULTS_DIR"]) / "MEASURED").write_text(file_digest(work / MEASURED))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
