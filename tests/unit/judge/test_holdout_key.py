"""The secret key: read from a file, named by an id that tells nothing of it, and never shown."""

import pytest
from holdouts import KEY, OTHER_KEY
from judged import refused

from ml.core.errors import UsageError
from ml.judge.holdout_key import HoldoutKey, read_key

SECRET = KEY.secret.hex()


@pytest.mark.parametrize("text", ["", "00" * 31, "00" * 33, "g" * 64, "AB" * 32, "00" * 32 + "\n\n"])
def test_a_key_is_read_and_what_is_none_is_refused_without_showing_it(tmp_path, text):
    for end in ("", "\n"):
        (tmp_path / "key").write_text(SECRET + end)
        assert read_key(tmp_path / "key") == KEY
    (tmp_path / "key").write_text(text)
    remedy = "; `jukebox judge keys` makes one"
    line = refused(UsageError, f"no key of 64 hexadecimal digits{remedy}", read_key, tmp_path / "key")
    assert not text or text.strip() not in line
    refused(UsageError, f"No such file or directory{remedy}", read_key, tmp_path / "none")


def test_the_id_is_the_keys_own_and_holds_nothing_of_it():
    assert KEY.id == HoldoutKey(bytes(KEY.secret)).id != OTHER_KEY.id
    assert len(KEY.id) == 16
    assert KEY.id not in SECRET
    assert not any(secret in repr(KEY) for secret in (SECRET, str(KEY.secret)))


def test_a_fifth_is_sealed_and_another_key_seals_another():
    keys = [f"{number:064x}" for number in range(10_000)]
    sealed, other = ({one for one in keys if key.seals(one)} for key in (KEY, OTHER_KEY))
    # Three standard deviations.
    assert [len(sealed), len(other)] == pytest.approx([2000, 2000], abs=120)
    assert len(sealed & other) == pytest.approx(400, abs=60)
