"""Reading a TOML file somebody else wrote, and saying all that is wrong with it, one mistake a line."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from eth_utils.address import to_checksum_address
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from indexer.errors import BadInput

File = Path | Traversable
Place = tuple[str | int, ...]
Mistake = tuple[Place, str]

MAX_OCTETS = 1_000_000

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]{1,60}")
_SENTENCES = {
    "missing": "is missing: add it",
    "extra_forbidden": "is not a key known here: remove it or correct its spelling",
    "model_type": "must be a table",
    "model_attributes_type": "must be a table",
    "dict_type": "must be a table",
    "mapping_type": "must be a table",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "string_type": "must be a text in quotes",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "too_short": "must not be empty",
    "string_too_short": "must not be empty",
    "string_too_long": "is too long",
    "too_long": "has too many entries: split it",
}


class Document(BaseModel):
    """A table of such a file: unknown keys are mistakes, values never change, errors never quote input."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


def read_toml(file: File) -> dict[str, Any]:
    """The file's tables; raises BadInput with one line if it cannot be read, is over 1 MB, not UTF-8 or not TOML."""
    try:
        with file.open("rb") as stream:
            octets = stream.read(MAX_OCTETS + 1)
        if len(octets) <= MAX_OCTETS:
            return tomllib.loads(octets.decode())
        wrong = f"is larger than {MAX_OCTETS} octets: split it or remove what is not needed"
    except OSError as fault:
        wrong = f"cannot be read ({fault.strerror}): check its path and permissions"
    except UnicodeDecodeError as fault:
        wrong = f"is not UTF-8 at octet {fault.start}: save it as UTF-8"
    except RecursionError:
        wrong = "nests too deeply: write it flatter"
    except ValueError as fault:
        wrong = f"is not valid TOML: {one_line(str(fault))}"
    raise BadInput(f"{file.name}: {wrong}")  # raised here, not above: a decoder's error would carry the file along


def mistaken(place: Place, sentence: str) -> ValidationError:
    """What a validator raises for a mistake that lies at a place within its value."""
    told = PydanticCustomError("mistaken", "{sentence}", {"sentence": one_line(sentence)})
    return ValidationError.from_exception_data("document", [InitErrorDetails(type=told, loc=place, input=None)])


def mistakes(fault: ValidationError, under: Place = ()) -> list[Mistake]:
    """Each mistake pydantic found as its place and a sentence without the value."""
    return [((*under, *error["loc"]), _sentence(error)) for error in fault.errors(include_url=False)]


def lines(name: str, found: Iterable[Mistake]) -> list[str]:
    """'file: place: sentence' for each mistake."""
    return [": ".join(filter(None, (name, spelled(place), sentence))) for place, sentence in found]


def spelled(place: Place) -> str:
    """A place as people write it, 'deployment[1].contracts.factory'; keys that may hide something are not shown."""
    words = ""
    for part in place:
        if isinstance(part, int):
            words += f"[{part}]"
        elif part != "[key]":  # pydantic's mark for 'the key itself is wrong'
            key = part if _BARE_KEY.fullmatch(part) else "(a key with other characters than letters, digits, - and _)"
            words += f".{key}" if words else key
    return words


def quoted(value: object) -> str:
    """A value from a file, safe to print: ASCII, one line, not long."""
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def one_line(text: str) -> str:
    """The text without control characters, in printable ASCII."""
    return "".join(sign if " " <= sign <= "~" else ascii(sign)[1:-1] for sign in text)


def parse_address(value: object) -> bytes:
    """20 octets of an address in its EIP-55 form; raises ValueError with a sentence that gives the right form.

    Checksum: https://eips.ethereum.org/EIPS/eip-55
    """
    if not isinstance(value, str):
        raise ValueError("must be an address in quotes, 0x and 40 hexadecimal digits")  # noqa: TRY004 pydantic reports ValueError
    if not value.isascii():
        raise ValueError(f"{quoted(value)} has a character that only looks like a hexadecimal digit: type it anew")
    if not _ADDRESS.fullmatch(value):
        raise ValueError(f"{quoted(value)} is no address: 0x and 40 hexadecimal digits are needed")
    if not int(value, 16):
        raise ValueError("is the zero address, which no contract has: give the contract's")
    right = to_checksum_address(value)
    if value == right:
        return bytes.fromhex(value[2:])
    if value[2:] in (value[2:].lower(), value[2:].upper()):
        raise ValueError(f"{value} carries no checksum: compare it with its source and write {right}")
    raise ValueError(f"{value} has a wrong checksum: compare each digit with its source; these digits spell {right}")


def parse_source(value: str) -> str:
    """An https link, or a sentence of three words or more; raises ValueError otherwise."""
    if value.startswith("https://") and " " not in value and value.isprintable() and _host(value):
        return value
    if "://" not in value and len(value.split()) >= 3:
        return value
    raise ValueError(
        "must be an https:// link to where the fact can be checked, or a sentence that says where it is from"
    )


def _host(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _whole(value: object) -> object:
    if isinstance(value, bool | float):
        raise ValueError("must be a whole number")  # noqa: TRY004 pydantic reports ValueError
    return value


def _sentence(error: Mapping[str, Any]) -> str:
    if error["type"] == "value_error":
        return one_line(str(error["ctx"]["error"]))
    if error["type"] == "mistaken":
        return str(error["msg"])
    return _SENTENCES.get(error["type"]) or error["msg"].replace("Input should", "must").replace(
        "String should", "must"
    )


Whole = Annotated[int, BeforeValidator(_whole)]
Block = Annotated[Whole, Field(ge=0, lt=2**63)]
ChainName = Annotated[str, Field(pattern=r"^[a-z0-9_]{1,40}$")]
AddressText = Annotated[bytes, BeforeValidator(parse_address)]
Words = Annotated[str, Field(min_length=1, max_length=2000)]
SourceText = Annotated[str, Field(max_length=500), AfterValidator(parse_source)]
