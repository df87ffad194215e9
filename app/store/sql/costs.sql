-- costed: A page of exchanges between two ids whose usage is counted, oldest first; projects as in `projects` of query.sql.
SELECT
    id, project_id, started_at, authority, upstream, path, route, model, model_served, service_tier, key, status,
    outcome, end_user, tags, usage, cost, price_version, cost_status
FROM exchanges
WHERE id >= $1::uuid AND id < $2::uuid AND usage IS NOT NULL AND cost_status IS DISTINCT FROM $4::text
ORDER BY id
LIMIT $3::int8;

-- set_costs: New costs of exchanges between two ids, but for those that changed meanwhile; gives those that it set.
UPDATE exchanges AS e SET cost = n.cost, price_version = n.price_version, cost_status = n.cost_status
FROM unnest(
    $3::int4[], $4::uuid[], $5::numeric[], $6::text[], $7::text[], $8::numeric[], $9::text[]
) AS n (project_id, id, cost, price_version, cost_status, old_cost, old_status)
WHERE e.id BETWEEN $1::uuid AND $2::uuid AND e.project_id = n.project_id AND e.id = n.id
    AND e.cost IS NOT DISTINCT FROM n.old_cost AND e.cost_status IS NOT DISTINCT FROM n.old_status
RETURNING e.id;
