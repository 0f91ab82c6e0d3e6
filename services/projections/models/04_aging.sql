-- Aging as of any day, as known at any time: a base near that day, and the movements between the two. This is the one
-- way it is computed.

-- Where a branch's aging as of a day starts: the nearest day whose beginning we have the balances of. 'infinity' is now
-- (everything recorded, whatever its date), '-infinity' is before the first movement.
CREATE FUNCTION aging_base(p_grain text, p_as_of date, p_branches text[])
RETURNS TABLE (branch text, base date) LANGUAGE sql STABLE AS $$
    SELECT b.branch, (
        SELECT c.base FROM (VALUES
            ('infinity'::date, greatest(current_date - p_as_of, 0)),
            ('-infinity', greatest(p_as_of - b.first_on, 0)),
            (earlier.taken_on, p_as_of + 1 - earlier.taken_on),
            (later.taken_on, later.taken_on - p_as_of - 1)
        ) AS c(base, distance)
        WHERE c.distance IS NOT NULL ORDER BY c.distance, c.base DESC LIMIT 1)
    FROM branch b
    LEFT JOIN LATERAL (
        SELECT s.taken_on FROM snapshot s
        WHERE s.branch = b.branch AND s.grain = p_grain AND s.taken_on <= p_as_of + 1 AND s.state = 'ready'
        ORDER BY s.taken_on DESC LIMIT 1
    ) earlier ON true
    LEFT JOIN LATERAL (
        SELECT s.taken_on FROM snapshot s
        WHERE s.branch = b.branch AND s.grain = p_grain AND s.taken_on > p_as_of + 1 AND s.state = 'ready'
        ORDER BY s.taken_on LIMIT 1
    ) later ON true
    WHERE p_branches IS NULL OR b.branch = ANY (p_branches)
$$;

-- The lines that add up to what each branch had open, per anchor day. Simple enough for the planner to inline. `p_all`
-- says that the branches are all there are: the base is then read whole, and not branch by branch.
CREATE FUNCTION branch_lines(
    p_branches text[], p_all boolean, p_base date, p_as_of date, p_known_at timestamptz, p_anchor text)
RETURNS TABLE (branch text, currency text, kind text, anchored_on date, amount_minor bigint)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT b.branch, b.currency, b.kind, b.anchored_on, b.amount_minor FROM branch_balance b
    WHERE p_base = 'infinity' AND b.anchor = p_anchor AND (p_all OR b.branch = ANY (p_branches))
      AND b.amount_minor <> 0
    UNION ALL
    SELECT s.branch, s.currency, s.kind, s.anchored_on, s.amount_minor FROM branch_snapshot s
    WHERE isfinite(p_base) AND s.taken_on = p_base AND s.anchor = p_anchor
      AND (p_all OR s.branch = ANY (p_branches))
    UNION ALL  -- The base is earlier: what came since, up to the day.
    SELECT m.branch, m.currency, m.kind, CASE p_anchor WHEN 'due' THEN m.due_on ELSE m.issued_on END, m.amount_minor
    FROM movement m
    WHERE p_base <= p_as_of AND m.branch = ANY (p_branches) AND m.effective_on >= p_base AND m.effective_on <= p_as_of
    UNION ALL  -- The base is later: less what came after the day.
    SELECT m.branch, m.currency, m.kind, CASE p_anchor WHEN 'due' THEN m.due_on ELSE m.issued_on END, -m.amount_minor
    FROM movement m
    WHERE p_base > p_as_of AND m.branch = ANY (p_branches) AND m.effective_on > p_as_of AND m.effective_on < p_base
    UNION ALL  -- Less what we did not know yet.
    SELECT m.branch, m.currency, m.kind, CASE p_anchor WHEN 'due' THEN m.due_on ELSE m.issued_on END, -m.amount_minor
    FROM movement m
    WHERE p_known_at IS NOT NULL AND m.branch = ANY (p_branches) AND m.recorded_at > p_known_at
      AND m.effective_on <= p_as_of
$$;

-- The same for every item, and every receipt with money left (`item_id` is then the receipt).
CREATE FUNCTION item_lines(p_branches text[], p_all boolean, p_base date, p_as_of date, p_known_at timestamptz)
RETURNS TABLE (branch text, account_id uuid, job_id uuid, item_id uuid, currency text, kind text,
               issued_on date, due_on date, amount_minor bigint)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT o.branch, o.account_id, o.job_id, o.item_id, o.currency,
           CASE o.kind WHEN 'receipt' THEN 'unapplied' ELSE 'open' END, o.issued_on, o.due_on, o.open_minor
    FROM open_item o
    WHERE p_base = 'infinity' AND (p_all OR o.branch = ANY (p_branches)) AND o.open_minor <> 0
    UNION ALL
    SELECT o.branch, o.account_id, o.job_id, o.item_id, o.currency, 'retainage', o.issued_on, o.due_on, o.retainage_minor
    FROM open_item o
    WHERE p_base = 'infinity' AND (p_all OR o.branch = ANY (p_branches)) AND o.retainage_minor <> 0
    UNION ALL
    SELECT s.branch, s.account_id, s.job_id, s.item_id, s.currency, s.kind, s.issued_on, s.due_on, s.amount_minor
    FROM item_snapshot s
    WHERE isfinite(p_base) AND s.taken_on = p_base AND (p_all OR s.branch = ANY (p_branches))
    UNION ALL
    SELECT m.branch, m.account_id, m.job_id, coalesce(m.item_id, m.receipt_id), m.currency, m.kind, m.issued_on, m.due_on,
           m.amount_minor
    FROM movement m
    WHERE p_base <= p_as_of AND m.branch = ANY (p_branches) AND m.effective_on >= p_base AND m.effective_on <= p_as_of
    UNION ALL
    SELECT m.branch, m.account_id, m.job_id, coalesce(m.item_id, m.receipt_id), m.currency, m.kind, m.issued_on, m.due_on,
           -m.amount_minor
    FROM movement m
    WHERE p_base > p_as_of AND m.branch = ANY (p_branches) AND m.effective_on > p_as_of AND m.effective_on < p_base
    UNION ALL
    SELECT m.branch, m.account_id, m.job_id, coalesce(m.item_id, m.receipt_id), m.currency, m.kind, m.issued_on, m.due_on,
           -m.amount_minor
    FROM movement m
    WHERE p_known_at IS NOT NULL AND m.branch = ANY (p_branches) AND m.recorded_at > p_known_at
      AND m.effective_on <= p_as_of
$$;

-- Aging, summed per dimension and bucket.
--   p_by          branch, account, job, item, total: which of the first four columns are filled
--   p_anchor      due, invoice: the date that ages; days past due = as_of - that date
--   p_bounds      where each bucket but the first begins, ascending: {1,31,61,91,121} are current, 1-30, 31-60, ...
--                 `bucket` counts from 0, current
--   other filters null means all. Retainage and unapplied cash have a bucket too, for whoever ages credits by their own
--                 date; whoever does not adds their buckets up
-- Errors  22023 an anchor or dimension there is not.
CREATE FUNCTION aging_by(
    p_by text, p_as_of date, p_known_at timestamptz DEFAULT NULL, p_anchor text DEFAULT 'due',
    p_bounds int[] DEFAULT '{1,31,61,91,121}', p_branches text[] DEFAULT NULL, p_accounts uuid[] DEFAULT NULL,
    p_currencies text[] DEFAULT NULL, p_collectors text[] DEFAULT NULL
) RETURNS TABLE (branch text, account_id uuid, job_id uuid, item_id uuid, currency text, kind text,
                 bucket int, amount_minor bigint)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
    coarse   boolean := p_by IN ('branch', 'total') AND p_accounts IS NULL AND p_collectors IS NULL;
    branches text[]  := p_branches;
    dims     text;
    grouped  text;
    lines    text;
    filters  text    := '';
BEGIN
    IF p_anchor NOT IN ('due', 'invoice') OR p_by NOT IN ('branch', 'account', 'job', 'item', 'total') THEN
        RAISE EXCEPTION 'there is no aging of % by %', p_anchor, p_by USING ERRCODE = '22023';
    END IF;
    SELECT d.dims, d.grouped INTO dims, grouped FROM (VALUES
        ('total',   'NULL::text, NULL::uuid, NULL::uuid, NULL::uuid', ''),
        ('branch',  'l.branch, NULL::uuid, NULL::uuid, NULL::uuid', 'l.branch, '),
        ('account', 'NULL::text, l.account_id, NULL::uuid, NULL::uuid', 'l.account_id, '),
        ('job',     'NULL::text, l.account_id, l.job_id, NULL::uuid', 'l.account_id, l.job_id, '),
        ('item',    'l.branch, l.account_id, l.job_id, l.item_id', 'l.branch, l.account_id, l.job_id, l.item_id, ')
    ) AS d(by, dims, grouped) WHERE d.by = p_by;

    -- An account's money stands in the branches of its items: reading those alone spares an index by account.
    IF p_accounts IS NOT NULL THEN
        SELECT coalesce(array_agg(DISTINCT o.branch), '{}') INTO branches FROM open_item o
        WHERE o.account_id = ANY (p_accounts) AND (p_branches IS NULL OR o.branch = ANY (p_branches));
        filters := filters || format(' AND l.account_id = ANY (%L::uuid[])', p_accounts);
    END IF;
    IF p_currencies IS NOT NULL THEN
        filters := filters || format(' AND l.currency = ANY (%L::text[])', p_currencies);
    END IF;
    IF p_collectors IS NOT NULL THEN
        filters := filters || format(
            ' AND l.account_id IN (SELECT a.account_id FROM account a WHERE a.collector = ANY (%L::text[]))', p_collectors);
    END IF;

    -- Literals, not parameters: the planner then knows how much lies between the base and the day.
    SELECT string_agg(
        CASE WHEN coarse THEN format(
            'SELECT branch, NULL::uuid AS account_id, NULL::uuid AS job_id, NULL::uuid AS item_id, currency, kind,'
            ' anchored_on, amount_minor FROM branch_lines(%L::text[], %L, %L::date, %L::date, %L::timestamptz, %L)',
            g.branches, g.whole, g.base, p_as_of, p_known_at, p_anchor)
        ELSE format(
            'SELECT branch, account_id, job_id, item_id, currency, kind, %I AS anchored_on, amount_minor'
            ' FROM item_lines(%L::text[], %L, %L::date, %L::date, %L::timestamptz)',
            CASE p_anchor WHEN 'due' THEN 'due_on' ELSE 'issued_on' END, g.branches, g.whole, g.base, p_as_of, p_known_at)
        END, ' UNION ALL ')
    INTO lines
    FROM (
        SELECT b.base, array_agg(b.branch) AS branches, 
               branches IS NULL AND may_see_all() AND count(*) OVER () = 1 AS whole
        FROM aging_base(CASE WHEN coarse THEN 'branch' ELSE 'item' END, p_as_of, branches) b GROUP BY b.base
    ) g;
    IF lines IS NULL THEN
        RETURN;
    END IF;
    RETURN QUERY EXECUTE format(
        'SELECT %s, l.currency, l.kind, width_bucket(%L::date - l.anchored_on, %L::int[]), sum(l.amount_minor)::bigint'
        ' FROM (%s) l WHERE true%s'
        ' GROUP BY %sl.currency, l.kind, width_bucket(%L::date - l.anchored_on, %L::int[])'
        ' HAVING sum(l.amount_minor) <> 0',
        dims, p_as_of, p_bounds, lines, filters, grouped, p_as_of, p_bounds);
END $$;
