-- services/projections/migrations/0001_live.sql
-- Why   what outlives a rebuild of the read models. Their own tables are no migrations: they are built whole from
--       models/*.sql into the schema `live` (schema.py), and replaced whole by a rebuild
-- Locks none, new tables.  Time under 1 s.  Undo  forward only

-- Whether the transaction may see every branch. In policies as a scalar subquery: asked once per query, not per row.
CREATE FUNCTION may_see_all() RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT coalesce(current_setting('openitem.branches', true) = '*', false)
$$;

-- Which definition the tables in `live` were built from: a worker of another one refuses to start.
CREATE TABLE model_schema (
    one      boolean PRIMARY KEY DEFAULT true CHECK (one),
    hash     text        NOT NULL,                      -- of models/*.sql
    built_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

GRANT SELECT ON model_schema TO openitem_app;
