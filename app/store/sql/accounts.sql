-- of_recorder: What a recorder wrote of the segments that it let go, by writer and in the writer's order.
SELECT boot, slot, counter, first_accept_number, last_accept_number,
    recorded, "off", quarantined, expired, erased, dropped, carried, damaged_bytes, torn_bytes
FROM segments WHERE recorder_id = $1 ORDER BY boot, slot, counter;

-- ledgers: What became of accepted exchanges, by recorder; $1 is a recorder's own slot, ($2, $1) what was tried again.
WITH writers AS (
    SELECT recorder_id, slot,
        CASE WHEN slot < $1 THEN coalesce(max(last_accept_number) + 1, 0) ELSE 0 END AS numbered,
        sum(recorded) AS recorded, sum("off") AS "off", sum(quarantined) AS quarantined, sum(expired) AS expired,
        sum(erased) AS erased, sum(dropped) AS dropped
    FROM segments WHERE (boot, slot) <> ($2::text, $1::int2) GROUP BY recorder_id, boot, slot
)
SELECT recorder_id, coalesce(host, '') AS host, sum(numbered)::int8 AS numbered,
    sum(recorded)::int8 AS recorded, sum("off")::int8 AS "off", sum(quarantined)::int8 AS quarantined,
    sum(expired)::int8 AS expired, sum(erased)::int8 AS erased, sum(dropped)::int8 AS dropped
FROM writers LEFT JOIN recorders ON recorders.id = writers.recorder_id GROUP BY recorder_id, host ORDER BY recorder_id;
