"""Which handler performs what, and how it is called.

A handler takes the input, or the input and the attempt. Where its first parameter is annotated
with a pydantic model, the input is made one; pydantic itself is never imported here.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import re
import typing
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from .attempt import Attempt
from .outcomes import Canceled, Failed, Outcome, Retry, outcome_of_error, outcome_of_output

PATTERN = re.compile(r"\*|[a-z0-9_]+(\.[a-z0-9_]+)*(\.\*)?")

log = logging.getLogger("fleetprompt.worker")


@dataclass(frozen=True)
class Handler:
    call: Callable[..., Any]
    takes: int
    model: Any

    @classmethod
    def of(cls, function: Callable[..., Any]) -> Handler:
        parameters = positional(function)
        if len(parameters) not in (1, 2):
            raise TypeError(f"{name_of(function)} must take (input) or (input, attempt)")
        return cls(function, len(parameters), model_of(function, parameters[0]))

    def arguments(self, attempt: Attempt) -> tuple[Any, ...]:
        return (self.validated(attempt.input), attempt)[: self.takes]

    def validated(self, input: Any) -> Any:
        if self.model is None:
            return input
        try:
            return self.model.model_validate(input)
        except ValueError as error:
            raise Failed(str(error), code="input_invalid") from error


class Handlers:
    """The handlers of a worker by the pattern that they perform."""

    def __init__(self) -> None:
        self._by_pattern: dict[str, Handler] = {}

    def add(self, pattern: str, function: Callable[..., Any]) -> None:
        if not PATTERN.fullmatch(pattern):
            raise ValueError(f"{pattern!r} is no name like `mail.send`, and not `mail.*` or `*`")
        if pattern in self._by_pattern:
            raise ValueError(f"{pattern!r} is performed already")
        self._by_pattern[pattern] = Handler.of(function)

    @property
    def patterns(self) -> list[str]:
        return list(self._by_pattern)

    def find(self, name: str) -> Handler:
        """The name itself before a pattern, and a longer pattern before a shorter one."""
        fitting = [pattern for pattern in self._by_pattern if fits(pattern, name)]
        if not fitting:
            raise Retry(f"this worker does not perform {name}", code="not_performed")
        return self._by_pattern[max(fitting, key=lambda pattern: (pattern == name, len(pattern)))]


def fits(pattern: str, name: str) -> bool:
    if pattern.endswith("*"):
        return name.startswith(pattern[:-1])
    return pattern == name


def perform(handlers: Handlers, attempt: Attempt) -> Outcome:
    """Makes an attempt in this thread; whatever happens is an outcome."""
    try:
        handler = handlers.find(attempt.name)
        output = handler.call(*handler.arguments(attempt))
    except BaseException as error:
        return ended_by(error, attempt)
    return outcome_of_output(output, attempt.logs)


async def perform_async(handlers: Handlers, attempt: Attempt) -> Outcome:
    """`perform` in this task. Being canceled is an outcome only if the attempt was called off."""
    try:
        handler = handlers.find(attempt.name)
        result: Awaitable[Any] = handler.call(*handler.arguments(attempt))
        output = await result
    except Exception as error:
        return ended_by(error, attempt)
    except BaseException as error:
        if not attempt.canceled.is_set():
            raise
        return ended_by(error, attempt)
    return outcome_of_output(output, attempt.logs)


def ended_by(error: BaseException, attempt: Attempt) -> Outcome:
    if not isinstance(error, (Retry, Failed, Canceled, asyncio.CancelledError)):
        fields = attempt.log_fields()
        log.error("%s raised %r", attempt.name, error, exc_info=error, extra=fields)
    return outcome_of_error(error, attempt.logs)


def positional(function: Callable[..., Any]) -> list[inspect.Parameter]:
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [each for each in inspect.signature(function).parameters.values() if each.kind in kinds]


def model_of(function: Callable[..., Any], parameter: inspect.Parameter) -> Any:
    try:
        annotation = typing.get_type_hints(function).get(parameter.name)
    except (NameError, TypeError):
        # Names that only a type checker knows: then it is no model either.
        annotation = parameter.annotation
    return annotation if hasattr(annotation, "model_validate") else None


def name_of(function: Callable[..., Any]) -> str:
    return getattr(function, "__qualname__", repr(function))
