"""Full text, true to any substring in any script.

`writing` puts what an exchange says for the first time into `search_tail`, in the batch's transaction. `building`, in
a process of its own, closes segments of it: text to `search_text`, a signature of its n-grams to `search_sig`, and
merges eight segments to one. `searching` scans the tail, ANDs rows of the signatures, and verifies the blocks that are
left, the newest first; so a signature that is late, missing or damaged costs time, never a hit. `erasing` takes out
what an exchange said. The signature's layout is in `signature`; only `signing` needs numpy.
"""
