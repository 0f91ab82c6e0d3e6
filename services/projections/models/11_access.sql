-- Row-level security on every table with a branch, and the grants. Last, so that no table is forgotten.

DO $$
DECLARE
    tab text;
BEGIN
    FOR tab IN
        SELECT c.relname FROM pg_class c
        WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')
          AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'branch')
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', tab);
        EXECUTE format('CREATE POLICY branch_only ON %I USING ((SELECT may_see_all()) OR may_see(branch))', tab);
    END LOOP;
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO openitem_app', current_schema());
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %I TO openitem_app', current_schema());
END $$;
