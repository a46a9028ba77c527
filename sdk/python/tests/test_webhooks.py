"""Signatures, against the implementation of those who wrote Standard Webhooks."""

from __future__ import annotations

import time
from datetime import datetime, timezone

import pytest
import standardwebhooks

from fleetprompt.webhooks import SignatureInvalid, sign, verify

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = b'{"directive": {"name": "mail.send"}, "to": "\xc3\xa4"}'


def signed(body: bytes = BODY, *, ago_s: int = 0) -> dict[str, str]:
    at = int(time.time()) - ago_s
    signature = standardwebhooks.Webhook(SECRET).sign(
        "dir_1", datetime.fromtimestamp(at, timezone.utc), body.decode()
    )
    return {"Webhook-Id": "dir_1", "Webhook-Timestamp": str(at), "Webhook-Signature": signature}


def test_what_others_signed_is_good_and_read() -> None:
    assert verify(SECRET, signed(), BODY) == {"directive": {"name": "mail.send"}, "to": "ä"}
    assert verify(SECRET, signed(), BODY.decode())["to"] == "ä"


def test_what_is_signed_here_is_good_for_others() -> None:
    at = str(int(time.time()))
    headers = {
        "webhook-id": "dir_1",
        "webhook-timestamp": at,
        "webhook-signature": sign(SECRET, "dir_1", at, BODY),
    }
    assert standardwebhooks.Webhook(SECRET).verify(BODY, headers)
    assert verify(SECRET, headers, BODY)


def test_one_of_several_signatures_is_enough() -> None:
    headers = signed()
    headers["Webhook-Signature"] = f"v1,AAAA v2,ü {headers['Webhook-Signature']}"
    assert verify(SECRET, headers, BODY)


@pytest.mark.parametrize(
    ("change", "body"),
    [
        ({}, BODY + b" "),
        ({"Webhook-Id": "dir_1:2"}, BODY),
        ({"Webhook-Signature": "v1,"}, BODY),
        ({"Webhook-Signature": ""}, BODY),
        ({"Webhook-Timestamp": "now"}, BODY),
        ({"Webhook-Timestamp": str(int(time.time()) + 1)}, BODY),
    ],
)
def test_whatever_was_changed_is_refused(change: dict[str, str], body: bytes) -> None:
    # A second later than now, so that another timestamp is another.
    headers = signed(ago_s=10) | change
    with pytest.raises(SignatureInvalid):
        verify(SECRET, headers, body)


@pytest.mark.parametrize("ago_s", [-400, 400])
def test_what_is_too_old_or_from_the_future_is_refused(ago_s: int) -> None:
    with pytest.raises(SignatureInvalid, match="away from now"):
        verify(SECRET, signed(ago_s=ago_s), BODY)
    assert verify(SECRET, signed(ago_s=ago_s), BODY, tolerance=500)
