"""Options that are given as NAME=VALUE, several times."""

from collections.abc import Iterable

from ml.core.errors import UsageError


def split_pairs(option: str, texts: Iterable[str]) -> dict[str, str]:
    """Return values by name.

    Args:
        option: what the option is called, for messages.
        texts: each as ``name=value``.

    Raises:
        UsageError: a text is no pair, or a name is given twice.
    """
    pairs: dict[str, str] = {}
    for text in texts:
        name, is_pair, value = text.partition("=")
        if not is_pair or name in pairs:
            raise UsageError(f"{option} {text}: {'given twice' if is_pair else 'write name=value'}")
        pairs[name] = value
    return pairs
