"""Errors."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field


class ErrorBody(BaseModel):
    """What is wrong."""

    message: str
    type: Literal["verbatim_error", "invalid_request_error"] = Field(
        description="The second below /v1/, for what is wrong in what was asked."
    )
    param: str | None
    code: str | None


class ErrorAnswer(BaseModel):
    """Every error."""

    error: ErrorBody
