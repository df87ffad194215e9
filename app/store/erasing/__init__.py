"""Takes exchanges out of the record, and keeps them out: what erasures do with the tables.

`requests` notes what is to be erased together with its tombstones, which stop every insert of it from then on.
A recorder then erases, in short transactions: `removing` deletes rows, a page of exchanges at a time, and notes what
else they used; `sweeping` deletes of that what nothing else uses (slices, runs of talk); `running` puts both together
and says when an erasure is done. All of it may be stopped anywhere, and begun again by any recorder.
`reports` is what recorders say of their disks. docs/decisions/0017-erasure.md says why it is so.
"""
