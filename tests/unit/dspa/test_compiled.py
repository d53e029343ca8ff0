"""A compiled pipeline is read as it is, and nothing else is read as one."""

import pytest
import yaml
from submissions import IMAGE, compiled, pipeline

from ml.core.canonical import digest
from ml.core.errors import UsageError
from ml.dspa.compiled import read_pipeline

SPEC, PLATFORM = compiled().split(b"\n---\n")
NO_PIPELINE = "is not a pipeline compiled by `jukebox compile`"


def test_a_pipeline_as_it_is_compiled_is_read():
    assert (pipeline().digest, pipeline().image, len(pipeline().tasks)) == (digest(compiled()), IMAGE, 11)
    assert (pipeline().mounts_store, pipeline(store_pvc="models").mounts_store) == (False, True)


BOMB = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9) if n else 'x'}]\n" for n in range(9))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (BOMB, "an anchor or alias in line 1"),
        ("a: !!python/object/apply:os.system [x]\n", "a tag in line 1"),
        ("a: 1\nb: 2\na: 3\n", "the key 'a' is twice in the mapping in line 1"),
        ("a: {<<: {b: 1}}\n", "a key of the mapping in line 1 is not a string"),
        ("1: a\n", "a key of the mapping in line 1 is not a string"),
        ("a: 1\n---\nb: 2\n---\nc: 3\n", "it has 3 documents, not a specification and a platform"),
        (f"a: {'[' * 63}{']' * 63}\n", "1 documents"),
        (f"a: {'[' * 64}{']' * 64}\n", "more than 64 levels in line 1"),
        ("#" + "x" * (4 << 20), "more than 4 MB"),
        *((text, "compile`$") for text in ("a: 2026-01-01\n---\nb: 1", "a: .nan\n---\nb: 1", "a: [", "\0")),
        (b"\xff\xfe\xff", "compile`$"),
        *((yaml.safe_dump_all([{"root": root}, {}]), "compile`$") for root in (None, [], "text", 7, {})),
        (SPEC.replace(IMAGE.encode(), b"7") + b"\n---\n" + PLATFORM, "compile`$"),
        *((SPEC + b"\n---\n" + platform, "compile`$") for platform in (b"null\n", b"[]\n", b"text\n")),
        (compiled()[:-1], "the file is truncated"),
    ],
    ids=lambda value: str(value[:12]),
)
def test_what_no_compiler_writes_is_not_read(tmp_path, data, message):
    path = tmp_path / "pipeline.yaml"
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    with pytest.raises(UsageError, match=message) as caught:
        read_pipeline(path)
    assert ("\n" in str(caught.value), f"{path} {NO_PIPELINE}" in str(caught.value)) == (False, True)


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"cannot read .*: No such file"):
        read_pipeline(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    "image",
    [
        *("localhost/jukebox:latest", '""', f"a b@sha256:{'0' * 64}", f"localhost/jukebox@md5:{'0' * 64}"),
        *(f"localhost/jukebox@sha256:{end}" for end in ("0" * 63, "0" * 65, "A" * 64)),
    ],
)
def test_an_image_without_a_digest_is_refused(tmp_path, image):
    path = tmp_path / "pipeline.yaml"
    path.write_bytes(compiled().replace(IMAGE.encode(), image.encode()))
    with pytest.raises(UsageError, match=r"names the image .* without a digest: compile it"):
        read_pipeline(path)
    with pytest.raises(UsageError, match="name the image by its digest"):
        read_pipeline(path, image)
