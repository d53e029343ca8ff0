"""The secret key: read from a file, named by an id that tells nothing of it, and never shown."""

import pytest
from holdouts import KEY, OTHER_KEY

from ml.core.errors import UsageError
from ml.judge.holdout_key import HoldoutKey, read_key

KEYS = [f"{number:064x}" for number in range(10_000)]


@pytest.mark.parametrize("end", ["", "\n"])
def test_a_key_is_read(tmp_path, end):
    (tmp_path / "key").write_text(KEY.secret.hex() + end)
    assert read_key(tmp_path / "key") == KEY


@pytest.mark.parametrize(
    "text", ["", "\n", "00" * 31, "00" * 33, "0" * 63, "g" * 64, "AB" * 32, "00" * 32 + "\n\n", "\xff" * 64]
)
def test_what_is_no_key_is_refused_without_showing_it(tmp_path, text):
    (tmp_path / "key").write_text(text, encoding="latin-1")
    with pytest.raises(UsageError, match="`jukebox judge keys` makes one") as error:
        read_key(tmp_path / "key")
    assert not text.strip() or text.strip() not in str(error.value)


def test_a_missing_file_is_wrong_use(tmp_path):
    with pytest.raises(UsageError, match="No such file or directory; `jukebox judge keys`"):
        read_key(tmp_path / "none")


def test_the_id_is_the_keys_own_and_holds_nothing_of_it():
    assert KEY.id == HoldoutKey(bytes(KEY.secret)).id != OTHER_KEY.id
    assert len(KEY.id) == 16
    assert KEY.id not in KEY.secret.hex()
    assert KEY.secret.hex() not in repr(KEY)
    assert str(KEY.secret) not in repr(KEY)


def test_a_fifth_is_sealed_and_another_key_seals_another():
    sealed = {key: {recording for recording in KEYS if key.seals(recording)} for key in (KEY, OTHER_KEY)}
    for found in sealed.values():
        # Three standard deviations of 10,000 draws.
        assert len(found) / len(KEYS) == pytest.approx(0.2, abs=0.012)
    both = len(sealed[KEY] & sealed[OTHER_KEY]) / len(KEYS)
    assert both == pytest.approx(0.04, abs=0.006)
