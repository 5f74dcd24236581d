"""From event signatures and raw logs to columns of exact values; from a stranger's text to text safe to show."""

from indexer.decode.columns import Fault, Raw, decode
from indexer.decode.signature import Event, Function, Param, parse_event, parse_function
from indexer.decode.text import abi_text, clean_text

__all__ = [
    "Event",
    "Fault",
    "Function",
    "Param",
    "Raw",
    "abi_text",
    "clean_text",
    "decode",
    "parse_event",
    "parse_function",
]
