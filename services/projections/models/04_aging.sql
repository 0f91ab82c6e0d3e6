-- Aging as of any day, as known at any time: a base near that day, and the movements between the two. This is the one
-- way it is computed. The questions put their SQL together from arms: what cannot matter is then not even planned, and
-- the planner knows how much lies between the base and the day.

-- Where a branch's aging as of a day starts: the nearest day whose beginning we have the balances of. 'infinity' is now
-- (everything recorded, whatever its date), '-infinity' is before the first movement, `first_on`. For today only now is
-- looked at. A branch that began later is left out. Snapshots are looked for as near as they are taken, and farther only
-- where those are not built: without a far end, each look reads on in the index for as long as there is history.
CREATE FUNCTION aging_base(p_grain text, p_as_of date, p_branches text[])
RETURNS TABLE (branch text, first_on date, base date) LANGUAGE sql STABLE AS $$
    SELECT b.branch, b.first_on, CASE WHEN p_as_of >= current_date THEN 'infinity' ELSE (
        SELECT c.base FROM (
            SELECT 'infinity'::date AS base, current_date - p_as_of AS distance
            UNION ALL
            SELECT '-infinity', p_as_of - b.first_on
            UNION ALL
            SELECT n.taken_on, abs(n.taken_on - p_as_of - 1) FROM (VALUES (coalesce(
                (SELECT s.taken_on FROM snapshot s
                 WHERE s.branch = b.branch AND s.grain = p_grain AND s.state = 'ready'
                   AND s.taken_on <= p_as_of + 1 AND s.taken_on > p_as_of + 1 - t.days
                 ORDER BY s.taken_on DESC LIMIT 1),
                (SELECT s.taken_on FROM snapshot s
                 WHERE s.branch = b.branch AND s.grain = p_grain AND s.state = 'ready' AND s.taken_on <= p_as_of + 1
                 ORDER BY s.taken_on DESC LIMIT 1)
            )), (coalesce(
                (SELECT s.taken_on FROM snapshot s
                 WHERE s.branch = b.branch AND s.grain = p_grain AND s.state = 'ready'
                   AND s.taken_on > p_as_of + 1 AND s.taken_on <= p_as_of + 1 + t.days
                 ORDER BY s.taken_on LIMIT 1),
                (SELECT s.taken_on FROM snapshot s
                 WHERE s.branch = b.branch AND s.grain = p_grain AND s.state = 'ready' AND s.taken_on > p_as_of + 1
                 ORDER BY s.taken_on LIMIT 1)
            ))) AS n(taken_on) WHERE n.taken_on IS NOT NULL
        ) c ORDER BY c.distance, c.base DESC LIMIT 1) END
    FROM branch b CROSS JOIN (SELECT CASE p_grain WHEN 'item' THEN 184 ELSE 7 END) AS t(days)
    WHERE b.first_on <= p_as_of AND (p_branches IS NULL OR b.branch = ANY (p_branches))
$$;

-- The queries whose rows add up to what some branches had open, from one base. Each answers branch, account_id, job_id,
-- item_id (of unapplied cash: the receipt), currency, kind, issued_on, due_on, anchored_on, amount_minor; where p_grain
-- is branch, those between branch and currency and the two dates are null.
--   p_whose   which branches, as a condition on `x`
--   p_first   where the first of them began: nothing is looked for before
--   p_ends    days that a bucket ends with: other days may come summed up under the first of their eight. Null: every
--             day by itself
CREATE FUNCTION aging_arms(
    p_grain text, p_base date, p_whose text, p_first date, p_as_of date, p_known_at timestamptz, p_anchor text,
    p_ends date[])
RETURNS TABLE (arm text) LANGUAGE sql STABLE AS $$
    SELECT format(
        'SELECT x.branch, %s, x.currency, %s AS kind, %s AS anchored_on, %s AS amount_minor FROM %s WHERE %s AND %s',
        CASE p_grain
            WHEN 'branch' THEN 'NULL::uuid AS account_id, NULL::uuid AS job_id, NULL::uuid AS item_id,'
                               ' NULL::date AS issued_on, NULL::date AS due_on'
            ELSE format('x.account_id, x.job_id, %s AS item_id, x.issued_on, x.due_on', a.item)
        END,
        a.kind, a.anchored_on, a.minor, a.source, a.condition, p_whose)
    FROM (
        SELECT CASE p_anchor WHEN 'due' THEN 'x.due_on' ELSE 'x.issued_on' END AS ages,
               CASE p_base WHEN 'infinity' THEN 'branch_balance x' ELSE 'branch_snapshot x' END AS balances,
               CASE p_base WHEN 'infinity' THEN '' ELSE format('x.taken_on = %L AND ', p_base) END AS taken,
               ARRAY(SELECT DISTINCT e - day_of_eight(e) FROM unnest(p_ends) e) AS split
    ) d CROSS JOIN LATERAL (VALUES
        (p_grain = 'branch' AND p_base > '-infinity' AND p_ends IS NOT NULL,
         d.balances, '', 'x.kind', 'x.begins_on', 'x.amount_minor',
         format('%sx.anchor = %L AND x.amount_minor <> 0 AND x.begins_on <> ALL (%L::date[])',
                d.taken, p_anchor, d.split)),
        (p_grain = 'branch' AND p_base > '-infinity',
         d.balances || ' CROSS JOIN LATERAL (VALUES (0, x.minor_0), (1, x.minor_1), (2, x.minor_2), (3, x.minor_3),'
         ' (4, x.minor_4), (5, x.minor_5), (6, x.minor_6), (7, x.minor_7)) AS y(day, minor)', '', 'x.kind',
         'x.begins_on + y.day', 'y.minor',
         format('%sx.anchor = %L AND y.minor <> 0%s', d.taken, p_anchor,
                CASE WHEN p_ends IS NOT NULL THEN format(' AND x.begins_on = ANY (%L::date[])', d.split) END)),
        (p_grain = 'item' AND p_base = 'infinity',
         'open_item x', 'x.item_id', '''open''', d.ages, 'x.open_minor',
         'x.open_minor <> 0 AND x.kind IS DISTINCT FROM ''receipt'''),
        (p_grain = 'item' AND p_base = 'infinity',
         'open_item x', 'x.item_id', '''unapplied''', d.ages, 'x.open_minor',
         'x.open_minor <> 0 AND x.kind = ''receipt'''),
        (p_grain = 'item' AND p_base = 'infinity',
         'open_item x', 'x.item_id', '''retainage''', d.ages, 'x.retainage_minor', 'x.retainage_minor <> 0'),
        (p_grain = 'item' AND isfinite(p_base),
         'item_snapshot x', 'x.item_id', 'x.kind', d.ages, 'x.amount_minor', format('x.taken_on = %L', p_base)),
        -- The base is earlier: what came since, up to the day.
        (p_base <= p_as_of,
         'movement x', 'coalesce(x.item_id, x.receipt_id)', 'x.kind', d.ages, 'x.amount_minor',
         format('x.effective_on >= %L AND x.effective_on <= %L', greatest(p_base, p_first), p_as_of)),
        -- The base is later: less what came after the day.
        (p_base > p_as_of,
         'movement x', 'coalesce(x.item_id, x.receipt_id)', 'x.kind', d.ages, '-x.amount_minor',
         format('x.effective_on > %L AND x.effective_on < %L', p_as_of, p_base)),
        -- Less what we did not know yet.
        (p_known_at IS NOT NULL,
         'movement x', 'coalesce(x.item_id, x.receipt_id)', 'x.kind', d.ages, '-x.amount_minor',
         format('x.recorded_at > %L AND x.effective_on <= %L', p_known_at, p_as_of))
    ) AS a(matters, source, item, kind, anchored_on, minor, condition)
    WHERE a.matters
$$;

-- One query for all branches asked for, of whatever bases: `p_columns` of every line. They are computed in the arms,
-- once a row; computed above them, the planner would write them into each sum that uses them. Columns in the order of
-- their first use above spare a step per line that would only change their order. Null where there is no branch.
CREATE FUNCTION aging_lines(
    p_columns text, p_grain text, p_as_of date, p_known_at timestamptz, p_anchor text, p_ends date[], p_branches text[],
    p_filters text DEFAULT 'true')
RETURNS text LANGUAGE sql STABLE AS $$
    WITH bases AS (SELECT * FROM aging_base(p_grain, p_as_of, p_branches))
    SELECT string_agg(format('SELECT %s FROM (%s) l WHERE %s', p_columns, a.arm, p_filters), E'\nUNION ALL ')
    FROM (
        SELECT b.base, min(b.first_on) AS first_on, array_agg(b.branch) AS branches,
               ARRAY(SELECT o.branch FROM branch o EXCEPT SELECT c.branch FROM bases c WHERE c.base = b.base) AS others
        FROM bases b GROUP BY b.base
    ) g
    -- Whoever asks for all and may see all has the shorter list named: of one base, mostly, there are a few exceptions.
    CROSS JOIN LATERAL (SELECT CASE
        WHEN p_branches IS NOT NULL OR NOT may_see_all() OR cardinality(g.others) > cardinality(g.branches)
            THEN format('x.branch = ANY (%L::text[])', g.branches)
        WHEN g.others = '{}' THEN 'true'
        ELSE format('x.branch <> ALL (%L::text[])', g.others)
    END) AS w(whose)
    CROSS JOIN LATERAL aging_arms(p_grain, g.base, w.whose, g.first_on, p_as_of, p_known_at, p_anchor, p_ends) a
$$;

-- The bucket of a line, as SQL. p_bounds says where each bucket but the first begins, in days past due, ascending:
-- {1,31,61,91,121} are 0 current, 1 1-30, 2 31-60, ...
CREATE FUNCTION aging_bucket(p_as_of date, p_bounds int[]) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT format('CASE %s ELSE %s END',
                  string_agg(format('WHEN anchored_on > %L::date THEN %s', p_as_of - b.days, b.at - 1), ' '
                             ORDER BY b.at),
                  cardinality(p_bounds))
    FROM unnest(p_bounds) WITH ORDINALITY AS b(days, at)
$$;

-- What a question groups by, and with nulls for the other dimensions what it answers first. Constants are no part of
-- the grouping: each would be hashed for every line.
CREATE FUNCTION aging_dimensions(p_by text, p_answer boolean DEFAULT false) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT string_agg(CASE WHEN p_by = ANY (d.by) THEN d.name ELSE 'NULL::' || d.kind END, ', ' ORDER BY d.at)
           FILTER (WHERE p_answer OR p_by = ANY (d.by))
    FROM (VALUES (1, 'branch', 'text', '{branch,item}'::text[]), (2, 'account_id', 'uuid', '{account,job,item}'),
                 (3, 'job_id', 'uuid', '{job,item}'), (4, 'item_id', 'uuid', '{item}'),
                 (5, 'currency', 'text', '{branch,account,job,item,total}')) AS d(at, name, kind, by)
$$;

-- What aging_by and aging_report have in common: the lines of a question, `p_columns` of each beside its dimensions.
-- Null where there is no branch.
--   p_by          branch, account, job, item, total: which of the first four columns are filled
--   p_anchor      due, invoice: the date that ages; days past due = as_of - that date
--   other filters null means all
--   p_condition   on a line, of its columns in aging_arms
-- Errors  22023 an anchor or dimension there is not.
CREATE FUNCTION aging_asked(
    p_columns text, p_by text, p_as_of date, p_known_at timestamptz, p_anchor text, p_bounds int[],
    p_branches text[], p_accounts uuid[], p_currencies text[], p_collectors text[], p_condition text DEFAULT 'true'
) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
    grain    text   := CASE WHEN p_by IN ('branch', 'total') AND p_accounts IS NULL AND p_collectors IS NULL
                            THEN 'branch' ELSE 'item' END;
    branches text[] := p_branches;
    filters  text   := p_condition;
BEGIN
    IF p_anchor NOT IN ('due', 'invoice') OR p_by NOT IN ('branch', 'account', 'job', 'item', 'total') THEN
        RAISE EXCEPTION 'there is no aging of % by %', p_anchor, p_by USING ERRCODE = '22023';
    END IF;
    IF p_accounts IS NOT NULL THEN
        filters := filters || format(' AND account_id = ANY (%L::uuid[])', p_accounts);
    END IF;
    -- What is open now has an index by account, the past has none. But an account's money stands in the branches of its
    -- items: of the past, those alone are read.
    IF p_accounts IS NOT NULL AND (p_as_of < current_date - 1 OR p_known_at IS NOT NULL) THEN
        SELECT coalesce(array_agg(DISTINCT o.branch), '{}') INTO branches FROM open_item o
        WHERE o.account_id = ANY (p_accounts) AND (p_branches IS NULL OR o.branch = ANY (p_branches));
    END IF;
    IF p_currencies IS NOT NULL THEN
        filters := filters || format(' AND currency = ANY (%L::text[])', p_currencies);
    END IF;
    IF p_collectors IS NOT NULL THEN
        filters := filters || format(
            ' AND account_id IN (SELECT a.account_id FROM account a WHERE a.collector = ANY (%L::text[]))',
            p_collectors);
    END IF;
    RETURN aging_lines(format('%s, %s', aging_dimensions(p_by), p_columns), grain, p_as_of, p_known_at, p_anchor,
                       ARRAY(SELECT p_as_of - b FROM unnest(p_bounds) b), branches, filters);
END $$;

-- The questions keep the plans of what puts them together, also where their caller has each statement planned anew; the
-- query that they come to is planned each time.

-- Aging by bucket and kind: a row where the sum is not zero. Retainage and unapplied cash have a bucket too, for
-- whoever ages credits by their own date; whoever does not adds their buckets up.
CREATE FUNCTION aging_by(
    p_by text, p_as_of date, p_known_at timestamptz DEFAULT NULL, p_anchor text DEFAULT 'due',
    p_bounds int[] DEFAULT '{1,31,61,91,121}', p_branches text[] DEFAULT NULL, p_accounts uuid[] DEFAULT NULL,
    p_currencies text[] DEFAULT NULL, p_collectors text[] DEFAULT NULL
) RETURNS TABLE (branch text, account_id uuid, job_id uuid, item_id uuid, currency text, kind text,
                 bucket int, amount_minor bigint)
LANGUAGE plpgsql STABLE SET plan_cache_mode = auto AS $$
DECLARE
    lines text := aging_asked(format('kind, %s AS bucket, amount_minor', aging_bucket(p_as_of, p_bounds)), p_by,
                              p_as_of, p_known_at, p_anchor, p_bounds, p_branches, p_accounts, p_currencies,
                              p_collectors);
BEGIN
    IF lines IS NOT NULL THEN
        RETURN QUERY EXECUTE format(
            'SELECT %s, kind, bucket, minor_sum(amount_minor) FROM (%s) l GROUP BY %s, kind, bucket'
            ' HAVING minor_sum(amount_minor) <> 0',
            aging_dimensions(p_by, p_answer => true), lines, aging_dimensions(p_by));
    END IF;
END $$;

-- Aging as a report has it: a row per dimension and currency, left out where every sum by bucket and kind is zero.
--   p_in_bucket   unapplied cash counts in the bucket of its own date. `unapplied_minor` is told all the same, and is
--                 then a part of the buckets; `total_minor` has it once
CREATE FUNCTION aging_report(
    p_by text, p_as_of date, p_known_at timestamptz, p_anchor text, p_bounds int[], p_branches text[],
    p_accounts uuid[], p_currencies text[], p_collectors text[], p_in_bucket boolean
) RETURNS TABLE (branch text, account_id uuid, job_id uuid, item_id uuid, currency text, buckets bigint[],
                 past_due_minor bigint, retainage_minor bigint, unapplied_minor bigint, total_minor bigint)
LANGUAGE plpgsql STABLE SET plan_cache_mode = auto AS $$
DECLARE
    -- Where a line goes, in one number, which each sum then compares: its bucket; -1 retainage; -2 and below unapplied.
    bucket text := aging_bucket(p_as_of, p_bounds);
    cell   text := format('CASE WHEN kind = ''open'' THEN %2$s WHEN kind = ''unapplied'' THEN -2 %1$s ELSE -1 END',
                          CASE WHEN p_in_bucket THEN '- ' || bucket END, bucket);
    lines  text := aging_asked('amount_minor, ' || cell || ' AS cell', p_by, p_as_of, p_known_at, p_anchor, p_bounds,
                               p_branches, p_accounts, p_currencies, p_collectors);
    sums   text;
    names  text;
BEGIN
    IF lines IS NULL THEN
        RETURN;
    END IF;
    SELECT string_agg(format('minor_sum(amount_minor) FILTER (WHERE cell = %1$s%2$s) AS b%1$s', at,
                             CASE WHEN p_in_bucket THEN format(' OR cell = %s', -2 - at) END), ', ' ORDER BY at),
           string_agg('b' || at, ', ' ORDER BY at)
    INTO sums, names FROM generate_series(0, cardinality(p_bounds)) AS at;
    RETURN QUERY EXECUTE format(
        'SELECT %1$s, ARRAY[%3$s], %4$s - b0, retainage, unapplied, %4$s + retainage %5$s'
        ' FROM (SELECT %2$s, %6$s,'
        '              minor_sum(amount_minor) FILTER (WHERE cell = -1) AS retainage,'
        '              minor_sum(amount_minor) FILTER (WHERE cell <= -2) AS unapplied'
        '       FROM (%7$s) l GROUP BY %2$s) s'
        ' WHERE retainage <> 0 OR unapplied <> 0 OR %8$s',
        aging_dimensions(p_by, p_answer => true), aging_dimensions(p_by), names, replace(names, ', ', ' + '),
        CASE WHEN NOT p_in_bucket THEN '+ unapplied' END, sums, lines, replace(names, ', ', ' <> 0 OR ') || ' <> 0');
END $$;

-- What the rows of aging_report are ordered by, of those that come first: where it is more than zero. A sum a row costs a
-- third of what a report's row does, and lines that it does not count are not even grouped.
--   p_rank        total, past_due: as aging_report has them
CREATE FUNCTION aging_ranked(
    p_rank text, p_by text, p_as_of date, p_known_at timestamptz, p_anchor text, p_bounds int[], p_branches text[],
    p_accounts uuid[], p_currencies text[], p_collectors text[], p_in_bucket boolean
) RETURNS TABLE (branch text, account_id uuid, job_id uuid, item_id uuid, currency text, amount_minor bigint)
LANGUAGE plpgsql STABLE SET plan_cache_mode = auto AS $$
DECLARE
    late  text := format('anchored_on <= %L::date AND kind %s', p_as_of - p_bounds[1],
                         CASE WHEN p_in_bucket THEN '<> ''retainage''' ELSE '= ''open''' END);
    lines text := aging_asked('amount_minor', p_by, p_as_of, p_known_at, p_anchor, p_bounds, p_branches, p_accounts,
                              p_currencies, p_collectors, CASE p_rank WHEN 'past_due' THEN late ELSE 'true' END);
BEGIN
    IF lines IS NOT NULL THEN
        RETURN QUERY EXECUTE format(
            'SELECT %s, minor_sum(amount_minor) FROM (%s) l GROUP BY %s HAVING minor_sum(amount_minor) > 0',
            aging_dimensions(p_by, p_answer => true), lines, aging_dimensions(p_by));
    END IF;
END $$;
