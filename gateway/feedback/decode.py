# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests of the contract to what the store keeps; what breaks its rules is named, tokens are never quoted."""

import re
import unicodedata
from typing import Final

from google.protobuf.message import Message

from gateway.feedback.labels import QUESTION_OF
from gateway.feedback.store.votes import Shown, Submission
from gateway.serving.validation import Violations, check
from orrery.inference import v1

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
# RFC 6750's syntax of bearer tokens: one spelling each, and no names with blanks, no mail addresses.
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/=-]{16,128}")
# Letters, marks, digits and punctuation; no symbols (emoji), no controls, no invisible characters.
_NAME_CATEGORIES: Final = frozenset("LMNP")


def read_submission(request: v1.SubmitClassificationRequest) -> Submission:
    """A vote.

    Raises:
        InvalidRequest: naming every field that is wrong.
    """
    violations = _checked(request)
    _check_request_id(request.request_id, violations)
    _check_name(request.designation, "designation", violations)
    if request.label in v1.ClassificationLabel.values() and request.label not in {0, *QUESTION_OF}:
        violations.add("label", "answers no question")
    if request.contributor_token:
        _check_token(request.contributor_token, violations)
    shown = None
    if request.HasField("shown"):
        model = request.shown
        for field in ("name", "version_label", "variant"):
            if text := getattr(model, field):
                _check_name(text, f"shown.{field}", violations)
        shown = Shown(model.name, model.version, model.version_label, model.variant)
    violations.raise_if_any()
    return Submission(request.request_id, request.designation, request.label, shown, request.contributor_token)


def read_designations(request: v1.GetConsensusRequest) -> list[str]:
    """The objects asked for.

    Raises:
        InvalidRequest: naming every field that is wrong.
    """
    violations = _checked(request)
    for row, designation in enumerate(request.designations):
        _check_name(designation, f"designations[{row}]", violations)
    violations.raise_if_any()
    return list(request.designations)


def read_token(request: v1.ExportContributorRequest | v1.EraseContributorRequest) -> str:
    """Whose data are meant.

    Raises:
        InvalidRequest: naming every field that is wrong.
    """
    violations = _checked(request)
    if isinstance(request, v1.EraseContributorRequest):
        _check_request_id(request.request_id, violations)
    if request.contributor_token:
        _check_token(request.contributor_token, violations)
    violations.raise_if_any()
    return request.contributor_token


def _checked(request: Message) -> Violations:
    violations = Violations()
    check(request, violations)
    return violations


def _check_request_id(text: str, violations: Violations) -> None:
    if text and len(text) <= 64 and not _REQUEST_ID.fullmatch(text):
        violations.add("request_id", "must be 1 to 64 of A-Z a-z 0-9 . _ -")


def _check_token(token: str, violations: Violations) -> None:
    if len(token) <= 128 and not _TOKEN.fullmatch(token):
        violations.add("contributor_token", "must be 16 to 128 of A-Z a-z 0-9 - . _ ~ + / =")


def _check_name(text: str, path: str, violations: Violations) -> None:
    """One spelling each: what looks the same should be the same."""
    if not text:
        if "[" in path:
            violations.add(path, "is required")
    elif any(char != " " and unicodedata.category(char)[0] not in _NAME_CATEGORIES for char in text):
        violations.add(path, "may hold letters, digits, punctuation and blanks")
    elif text != " ".join(text.split(" ")).strip() or "  " in text:
        violations.add(path, "must neither begin nor end with a blank, nor have two together")
    elif not unicodedata.is_normalized("NFC", text):
        violations.add(path, "must be in Unicode's normal form C")
