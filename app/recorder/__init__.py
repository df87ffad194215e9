"""The recorder: journal to transcripts to records to the store. One per journal.

    tail ─▶ assemble ─▶ record ─▶ batch ─▶ delivery ─▶ (store) ─▶ settle ─▶ account, unlink
      │        └ transcript, bodies, segment   └ quarantine
      └ carry: what long streams hold is copied together, so that they do not pin the journal

What it promises: every exchange in the journal is in the store once, however often the recorder, the writer or
PostgreSQL die. A segment is unlinked only after the commit of all that began in it and of its own account; nothing
else is remembered, so a restart reads what is there, delivers it again, and the store drops what it has.

    - An exchange ends by its END, or as `proxy_crashed` when its writer is dead and all that it wrote was read.
    - It counts in the segment where it began; after a carry in the carry segment, and as carried in the first one.
    - While the store is away one batch is held, and nothing more is read.
"""
