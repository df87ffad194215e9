"""The journal: bytes safe on disk before they go on. It knows nothing of OpenAI and nothing of a database.

What it promises
    Every byte that a client received is in a file that no dying process can take with it, because each frame is
    written (`writev`, synchronous, not cancellable) before its bytes are sent. After a power loss at most the last
    fsync interval is missing (default 200 ms; none with `always`).

Files, below DATA_DIR/journal (mode 0700; files 0600)
    s-<boot>-<slot>-<counter>.seg   a segment: boot is 8 hexadecimal digits made at each start of a writer, slot the
                                    worker's number, counter 20 decimal digits from 0
    ….seg.new                       a segment being made; renamed when it is locked and its header stands
                                    (slot 32767: what a recorder carried; boot is then the recorder's own)
    recorder.lock                   held by the one recorder
    recorder.id                     its UUID, the same after a restart
    quarantine/                     exchanges that PostgreSQL will not take, in the same format, and files that are no
                                    readable segments (damaged header, unknown format version)
    ballast                         zeros, at most 16 MiB, given up on a full disk so that ends and notes still fit

    The writer of a segment holds its flock for life, so a segment whose lock can be taken is an orphan: the kernel
    frees locks at kill -9, and a stopped worker still holds its own. Segments are only appended to and, when all
    that they hold is committed in PostgreSQL, unlinked. There is no ledger: the set of files is the state.

Segment = HEADER frame, frames …, SEAL frame (missing where the writer died)

Frame, little endian
    offset  size  field
    0       4     magic F5 4C 4A 31; F5 never occurs in UTF-8
    4       4     CRC-32 (zlib) over the segment's salt, bytes 8 to 44 of this header, and the payload
    8       4     payload length, at most 1 MiB
    12      1     type (exchange.FrameType)
    13      1     flags: bit 0 more (the payload goes on in the next frame of the same type and exchange)
    14      2     format version, 1
    16      16    exchange id, UUIDv7; zero where the frame belongs to none
    32      8     monotonic nanoseconds
    40      4     sequence, dense per exchange from 0: a gap shows a loss
    44      n     payload: raw bytes for chunks, MessagePack (see app.exchange) for the rest

    The CRC of the HEADER frame is taken with an empty salt. The salt (16 random bytes) is a guard, not a seed: where
    a frame's header is damaged, the reader looks for the next magic inside bytes that clients and upstreams chose,
    and without the salt it would accept a frame forged there.

Reading
    At each place: magic, sane length, whole payload, right CRC; else the reader goes to the next magic and counts the
    bytes between as damaged, as it does with what stands behind a SEAL. An incomplete frame at the end of a live
    segment means "not yet"; at the end of a sealed or orphaned one it is a torn tail, counted and ignored. In a live
    segment a frame is read twice before it is called damaged: its writer may just have cut back a short write. Frames
    of unknown types are passed over. Nothing is repaired in place.
    A damaged frame's payload may be full of magics, put there on purpose. After 32 MiB of CRCs in vain a search
    believes in payloads of at most 4 KiB only, until it has found a frame: each byte costs a bounded time.

Writing
    A short write or an error is cut back to the last whole frame, which stays, since a reader may have taken it. Then
    chunks are dropped (`gap`), and beginnings, ends and notes are tried once more and else owed: a thread writes them,
    in order, as soon as there is room. A write that failed ends admission until a later look at the disk finds room.
    A segment is sealed at 64 MiB, at 5 s of age when not empty, and after a write to it failed. A thread makes the next
    one first, whether or not anything is written meanwhile, and then lets go of the last.
    After a failed fsync the segment is sealed as suspect (the SEAL's payload says so), never synced again, and a new
    one is opened; nothing is written again.
    Whatever is not recorded takes an accept number and is told by a NOTE: reason, first and last number.
"""
