"""`q`: what was said leads to its exchange, with the place, whatever else is asked."""

from __future__ import annotations

import uuid
from typing import Any

from app.store.writing.record import Record
from tests.store.samples import NOON_NS
from tests.store.search.corpus import SECOND_NS, saying


def ids(*records: Record) -> list[str]:
    return [str(uuid.UUID(bytes=each.id)) for each in records]


async def search(console: Any, **parameters: Any) -> list[dict[str, Any]]:
    answer = await console.get("/api/exchanges", params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


async def test_words_lead_to_exchanges_and_to_their_places(console):
    first = saying("Bist du da?", "Die Katze sitzt auf der MATTE, und die Katze schläft.", at_ns=NOON_NS)
    second = saying("龙猫在哪里？", "The cat sat.", at_ns=NOON_NS + SECOND_NS, user="bob")
    await console.ingest.deliver([first, second])
    found = await search(console, q="katze matte")
    assert [each["id"] for each in found] == ids(first)
    [snippet] = found[0]["snippets"]
    assert snippet["message"] == 1
    assert snippet["text"] == "Die Katze sitzt auf der MATTE, und die Katze schläft."
    words = [snippet["text"][begin:end] for begin, end in snippet["highlights"]]
    assert words == ["Katze", "MATTE", "Katze"]
    assert (snippet["begins"], snippet["ends"]) == (True, True)
    for query, wanted in {
        "龙猫": [second],
        "at": [second, first],
        'at -"the cat"': [first],
        '"cat sat"': [second],
        "cat-sat": [],
    }.items():
        assert [each["id"] for each in await search(console, q=query)] == ids(*wanted), query
    assert [each["id"] for each in await search(console, q="at", user="bob")] == ids(second)
    assert [each["id"] for each in await search(console, q="at", status=200, order="asc")] == ids(
        first, second
    )
    assert await search(console, q="katze", user="bob") == []
    assert "snippets" not in (await search(console))[0]


async def test_pages_of_a_search_follow_each_other(console):
    records = [saying(f"number {n}", at_ns=NOON_NS + n * SECOND_NS) for n in range(45)]
    await console.ingest.deliver(records)
    seen: list[str] = []
    after: dict[str, str] = {}
    while True:
        answer = (await console.get("/api/exchanges", params={"q": "number", "limit": 7, **after})).json()
        seen += [each["id"] for each in answer["data"]]
        assert answer["incomplete"] is False
        if not answer["has_more"]:
            break
        after = {"after": answer["last_id"]}
    assert seen == ids(*reversed(records))


async def test_a_search_that_cannot_be_read_says_where(console):
    for query, position in {"-x": 2, 'a "b': 2, "": 0, '""': 0, "w " * 30: 60}.items():
        answer = await console.get("/api/exchanges", params={"q": query})
        assert answer.status_code == 400, query
        error = answer.json()["error"]
        assert (error["param"], error["code"]) == ("q", "bad_query")
        assert f"character {position}" in error["message"]


async def test_a_long_message_is_shown_around_the_word(console):
    long = "Vorher " * 300 + "\nHier STEHT die Nadel im Heu.\n" + "nachher " * 300
    await console.ingest.deliver([saying("kurz", long, at_ns=NOON_NS)])
    [found] = await search(console, q="nadel")
    [snippet] = found["snippets"]
    [(begin, end)] = snippet["highlights"]
    assert snippet["text"][begin:end] == "Nadel"
    assert "Hier STEHT die Nadel im Heu." in snippet["text"]
    assert (snippet["begins"], snippet["ends"], snippet["message"]) == (False, False, 1)


async def test_messages_that_share_a_row_are_told_from_each_other(console):
    said = [f"message {n} says number {n}." for n in range(100)]
    await console.ingest.deliver([saying(*said, at_ns=NOON_NS)])
    [found] = await search(console, q='"number 77"')
    assert [(each["message"], each["text"]) for each in found["snippets"]] == [(77, said[77])]
