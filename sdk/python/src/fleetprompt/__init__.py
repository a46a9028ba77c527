"""FleetPrompt for Python: workers that do what workflows ask for, and a client for the API."""

from . import testing, types, webhooks
from ._version import __version__
from .attempt import Attempt
from .client import AsyncClient, Client
from .errors import ApiError, FleetPromptError, Unreachable
from .events import Event
from .outcomes import Canceled, Failed, Outcome, Retry
from .worker import AsyncWorker, Worker

__all__ = [
    "ApiError",
    "AsyncClient",
    "AsyncWorker",
    "Attempt",
    "Canceled",
    "Client",
    "Event",
    "Failed",
    "FleetPromptError",
    "Outcome",
    "Retry",
    "Unreachable",
    "Worker",
    "__version__",
    "testing",
    "types",
    "webhooks",
]
