"""What nearly all header lists, answers and layouts hold, for zstd to point at: they come to half of what they did.

Coding 2 is zstd with these very bytes as its dictionary (raw content). What was written with them is read with them
for ever: they must not change (a test knows their digest); another dictionary is another coding.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

_ASKED = [
    (b"Accept", b"application/json"),
    (b"accept", b"*/*"),
    (b"Accept-Encoding", b"gzip, deflate"),
    (b"accept-encoding", b"gzip, deflate, br, zstd"),
    (b"accept-language", b"*"),
    (b"sec-fetch-mode", b"cors"),
    (b"anthropic-version", b"2023-06-01"),
    (b"openai-beta", b"assistants=v2"),
    (b"Connection", b"keep-alive"),
    (b"content-length", b"1024"),
    (b"Content-Type", b"application/json"),
    (b"content-type", b"application/json"),
    (b"traceparent", b"00-"),
    (b"user-agent", b"OpenAI/JS 6.9.0"),
    (b"User-Agent", b"OpenAI/Python 2.8.0"),
    (b"user-agent", b"AsyncOpenAI/Python 2.8.0"),
    (b"X-Stainless-Arch", b"x64"),
    (b"x-stainless-arch", b"arm64"),
    (b"X-Stainless-Async", b"false"),
    (b"x-stainless-async", b"async:asyncio"),
    (b"X-Stainless-Lang", b"python"),
    (b"x-stainless-lang", b"js"),
    (b"X-Stainless-OS", b"Linux"),
    (b"x-stainless-os", b"MacOS"),
    (b"X-Stainless-Package-Version", b"2.8.0"),
    (b"x-stainless-package-version", b"2.8.0"),
    (b"x-stainless-raw-response", b"true"),
    (b"x-stainless-read-timeout", b"600"),
    (b"X-Stainless-Retry-Count", b"0"),
    (b"x-stainless-retry-count", b"0"),
    (b"X-Stainless-Runtime", b"CPython"),
    (b"x-stainless-runtime", b"node"),
    (b"X-Stainless-Runtime-Version", b"3.12.7"),
    (b"x-stainless-runtime-version", b"v22.11.0"),
    (b"x-stainless-timeout", b"600"),
]
_TOLD = [
    (b"access-control-allow-origin", b"*"),
    (b"anthropic-ratelimit-requests-remaining", b"3999"),
    (b"apim-request-id", b"00000000-0000-0000-0000-000000000000"),
    (b"azureml-model-session", b"d000-20260101000000"),
    (b"via", b"1.1 google"),
    (b"vary", b"Origin, accept-encoding"),
    (b"x-envoy-upstream-service-time", b"500"),
    (b"x-ms-region", b"East US"),
    (b"x-ratelimit-reset-project-tokens", b"0s"),
    (b"Date", b"Mon, 01 Jan 2026 00:00:00 GMT"),
    (b"date", b"Tue, 02 Feb 2026 10:10:10 GMT"),
    (b"Content-Type", b"text/event-stream; charset=utf-8"),
    (b"content-type", b"application/json; charset=utf-8"),
    (b"Content-Type", b"application/json"),
    (b"content-length", b"1024"),
    (b"Content-Encoding", b"gzip"),
    (b"Transfer-Encoding", b"chunked"),
    (b"Connection", b"keep-alive"),
    (b"cache-control", b"no-cache, must-revalidate"),
    (b"access-control-expose-headers", b"X-Request-ID, CF-Ray"),
    (b"openai-organization", b"user-"),
    (b"openai-processing-ms", b"1000"),
    (b"openai-project", b"proj_"),
    (b"openai-version", b"2020-10-01"),
    (b"openai-model", b"gpt-4o-mini-2024-07-18"),
    (b"x-envoy-upstream-service-time", b"1000"),
    (b"x-ratelimit-limit-requests", b"10000"),
    (b"x-ratelimit-limit-tokens", b"2000000"),
    (b"x-ratelimit-remaining-requests", b"9999"),
    (b"x-ratelimit-remaining-tokens", b"1999990"),
    (b"x-ratelimit-reset-requests", b"6ms"),
    (b"x-ratelimit-reset-tokens", b"0s"),
    (b"x-request-id", b"req_"),
    (b"Strict-Transport-Security", b"max-age=31536000; includeSubDomains; preload"),
    (b"cf-cache-status", b"DYNAMIC"),
    (b"set-cookie", b"__cf_bm="),
    (b"X-Content-Type-Options", b"nosniff"),
    (b"Server", b"cloudflare"),
    (b"CF-RAY", b"8f0000000000abcd-FRA"),
    (b"alt-svc", b'h3=":443"; ma=86400'),
]


def shared_dictionary() -> bytes:
    """The bytes of coding 2's dictionary; what is likeliest stands last, where pointing at it is cheapest."""
    shapes = Path(__file__).with_name("dictionary.txt").read_bytes()
    return msgspec.msgpack.encode(_ASKED) + shapes + msgspec.msgpack.encode(_TOLD)
