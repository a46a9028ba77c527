"""Is a request to an HTTP endpoint of yours from FleetPrompt?

It signs what it sends as Standard Webhooks has it: `webhook-signature` is `v1,` and the base64 of
HMAC-SHA256 over `id.timestamp.body`, under the secret that `directive_type_apply` answered once.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
from collections.abc import Mapping
from hashlib import sha256
from time import time
from typing import Any

TOLERANCE_S = 300


class SignatureInvalid(ValueError):
    """The request was not signed with this secret, or not now: answer 401 and do nothing."""


def verify(
    secret: str,
    headers: Mapping[str, str],
    body: bytes | str,
    tolerance: float = TOLERANCE_S,
) -> Any:
    """The body as JSON, once its signature holds and is no older than `tolerance` seconds.

    `body` must be what came over the wire, byte for byte.
    """
    lower = {name.lower(): value for name, value in headers.items()}
    id, timestamp, signatures = (header(lower, name) for name in ("id", "timestamp", "signature"))
    check_time(timestamp, tolerance)
    data = body.encode() if isinstance(body, str) else body
    expected = sign(secret, id, timestamp, data).encode()
    # Several, while a secret is being changed for another.
    given = [each.encode() for each in signatures.split()]
    if not any(hmac.compare_digest(expected, each) for each in given):
        raise SignatureInvalid("webhook-signature does not fit")
    return json.loads(data)


def sign(secret: str, id: str, timestamp: str, body: bytes) -> str:
    """The signature that FleetPrompt would send; for tests of your own."""
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error as error:
        raise ValueError("the secret is not `whsec_` and base64") from error
    digest = hmac.new(key, f"{id}.{timestamp}.".encode() + body, sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def header(headers: Mapping[str, str], name: str) -> str:
    value = headers.get(f"webhook-{name}")
    if not value:
        raise SignatureInvalid(f"the header webhook-{name} is missing")
    return value


def check_time(timestamp: str, tolerance: float) -> None:
    if not (timestamp.isascii() and timestamp.isdigit()):
        raise SignatureInvalid("webhook-timestamp is no number of seconds")
    if abs(time() - int(timestamp)) > tolerance:
        raise SignatureInvalid(f"webhook-timestamp is more than {tolerance:g} s away from now")
