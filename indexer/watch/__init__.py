"""Logging: what happened, as lines for people on a terminal and as JSON elsewhere."""

from __future__ import annotations

import logging
import os
import sys

import structlog


def configure(verbose: bool = False) -> None:
    """Sends the indexer's log to standard error; nothing of other libraries below WARNING."""
    level = logging.DEBUG if verbose else logging.WARNING
    coloured = not os.environ.get("NO_COLOR")  # https://no-color.org
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(colors=coloured) if sys.stderr.isatty() else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
