"""What was probably meant by a name that is nearly right, or that another library uses."""

from __future__ import annotations

from collections.abc import Iterable

from .terms import NAMES, NOTES

# What other libraries' class and function names end with: CosineAnnealingLR, mse_loss.
_ENDINGS = ("loss", "lr", "decay", "activation", "schedule", "optimizer")


def plain(name: str) -> str:
    """Return a name in lower case and without punctuation: LeakyReLU and leaky_relu are one."""
    return "".join(letter for letter in name.lower() if letter.isalnum())


def nearest(name: str, accepted: Iterable[str]) -> str | None:
    """Return the accepted name that is written nearly like `name`, or None."""
    from difflib import get_close_matches  # only where there is an error to explain

    names = {plain(item): item for item in reversed(list(accepted))}
    found = get_close_matches(plain(name), names, 1, cutoff=0.65)
    return names[found[0]] if found else None


def same(name: str, accepted: Iterable[str]) -> tuple[str, str] | None:
    """Return the accepted name that `name` is another writing or another library's term for.

    Returns
    -------
    (str, str) or None
        The name, and what else is to be written with it, mostly "".
    """
    names = {plain(item): item for item in accepted}
    written = plain(name)
    for term in (written, *(written.removesuffix(ending) for ending in _ENDINGS)):
        if term in names:
            return names[term], ""
        for candidate in NAMES.get(term, ()):
            if candidate in names.values():
                return candidate, NOTES.get(term, "")
    return None


def meant(name: str, accepted: Iterable[str]) -> str:
    """Return ": did you mean 'adam'?" for the end of an error message, or "" if nothing is near."""
    accepted = tuple(accepted)
    found, note = same(name, accepted) or (nearest(name, accepted), "")
    if found is None:
        return ""
    return f": did you mean {found!r}{f', with {note}' if note else ''}?"
