-- of_recorder: What a recorder wrote of the segments that it let go, by writer and in the writer's order.
SELECT boot, slot, counter, first_accept_number, last_accept_number,
    recorded, "off", quarantined, expired, erased, dropped, carried, damaged_bytes, torn_bytes
FROM segments WHERE recorder_id = $1 ORDER BY boot, slot, counter;
