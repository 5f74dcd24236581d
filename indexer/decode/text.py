"""Text that strangers wrote on the chain: kept exactly, or made safe to show."""

from __future__ import annotations

import re
import unicodedata
from codecs import getincrementaldecoder

# Invisible though not of a control or format category: Default_Ignorable_Code_Point of
# https://www.unicode.org/Public/UCD/latest/ucd/DerivedCoreProperties.txt, and the blank Braille pattern.
_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0000-\U000e0fff]"
)
_WINDOW = 64  # octets looked at for each character shown, so that a megabyte costs no more than a line
_ELLIPSIS = "…"


def keep_text(raw: bytes) -> str:
    """The text of an ABI string, whatever its octets: those that are no UTF-8 become lone surrogates U+DC80..DCFF.

    Nothing is lost: original_octets gives the octets back. Such text is neither shown nor stored before clean_text.
    """
    return raw.decode("utf-8", "surrogateescape")


def original_octets(text: str) -> bytes:
    """The octets that keep_text was given."""
    return text.encode("utf-8", "surrogateescape")


def clean_text(raw: bytes, limit: int = 64) -> str:
    """One line of at most limit (>= 1) visible characters, in NFC, that Postgres stores and a terminal shows.

    Octets that are no UTF-8 become U+FFFD. Controls, format characters (zero-width, bidi), surrogates, private and
    unassigned code points vanish; any run of white space becomes one space; what is cut off leaves an ellipsis.
    Printable characters stay as they are: quoting for HTML or CSV is up to the writer of HTML or CSV.
    """
    cut = len(raw) > _WINDOW * limit
    decoded = getincrementaldecoder("utf-8")("replace").decode(raw[: _WINDOW * limit], final=not cut)
    visible = "".join(map(_shown, _INVISIBLE.sub("", decoded)))
    line = " ".join(unicodedata.normalize("NFC", visible).split())
    if len(line) <= limit and not cut:
        return line
    return line[: limit - 1].rstrip() + _ELLIPSIS


def _shown(character: str) -> str:
    if character.isspace():
        return " "
    return "" if unicodedata.category(character)[0] == "C" else character


def abi_text(data: bytes) -> bytes | None:
    """The octets of a `string` or, as old tokens such as MKR answer, `bytes32` result; None if it is neither.

    A string need not be padded. A bytes32 loses its trailing NULs and is no text if others remain.
    """
    if len(data) == 32:
        text = data.rstrip(b"\0")
        return None if b"\0" in text else text
    start = int.from_bytes(data[:32], "big")
    if len(data) < 64 or not 32 <= start <= len(data) - 32:
        return None
    length = int.from_bytes(data[start : start + 32], "big")
    if length > len(data) - start - 32:
        return None
    return data[start + 32 : start + 32 + length]
