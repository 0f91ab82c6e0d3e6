-- Every change of receivables, one row per line of a fact, and the sums of them that make aging cheap: by branch as of
-- now, and as of the start of past months and years.

CREATE TABLE movement (
    stream         text        NOT NULL,
    stream_version int         NOT NULL,
    line           int         NOT NULL,
    kind           text        NOT NULL,                -- open, retainage, unapplied
    cause          text        NOT NULL,                -- issued, credited, voided, released, received, identified,
                                                        -- applied, unapplied, reversed, refunded, written_off,
                                                        -- write_off_reversed
    item_id        uuid,                                -- absent where kind is unapplied
    receipt_id     uuid,
    branch         text        NOT NULL,
    account_id     uuid,                                -- absent: unidentified
    job_id         uuid,
    currency       text        NOT NULL,
    issued_on      date        NOT NULL,
    due_on         date        NOT NULL,
    effective_on   date        NOT NULL,
    recorded_at    timestamptz NOT NULL,
    amount_minor   bigint      NOT NULL
    -- No key: nothing looks for a line by its fact, and a fact that is folded twice is refused by what it adds to the
    -- timeline or to cash_movement. It was a tenth of all that a fact costs, and as large as the rows.
);
-- The day comes first: a report of many branches, and a snapshot, then read one piece of it, and new movements go to
-- its end. A report of one branch looks the branch up day by day.
CREATE INDEX movement_by_day ON movement (effective_on, branch)
    INCLUDE (currency, kind, account_id, issued_on, due_on, amount_minor);
-- What was learned after an instant of days before it: few of many, told apart without a look at the rows.
CREATE INDEX movement_by_recorded ON movement (recorded_at, effective_on);
-- What was billed to fall due in some weeks, for cash flow: few of all days, and of the causes only those that bill.
CREATE INDEX movement_billed ON movement (due_on)
    WHERE kind = 'open' AND cause IN ('issued', 'released', 'credited', 'voided');
CREATE INDEX movement_written_off ON movement (effective_on) WHERE cause IN ('written_off', 'write_off_reversed');

-- What is open now, by branch and day: a row has eight days, the first a multiple of eight from the calendar's start.
-- A report reads the row's sum, and single days only where one of its buckets ends among them: less than a fifth of the
-- rows that a row per day would take, and no more to write. One row per anchor: with both dates in one key there would
-- be nearly as many rows as items. Rows of zero are removed by a timer.
CREATE TABLE branch_balance (
    anchor       text   NOT NULL,                       -- due, invoice
    branch       text   NOT NULL,
    currency     text   NOT NULL,
    kind         text   NOT NULL,
    begins_on    date   NOT NULL,
    amount_minor bigint NOT NULL GENERATED ALWAYS AS
                 (minor_0 + minor_1 + minor_2 + minor_3 + minor_4 + minor_5 + minor_6 + minor_7) STORED,
    minor_0      bigint NOT NULL DEFAULT 0,
    minor_1      bigint NOT NULL DEFAULT 0,
    minor_2      bigint NOT NULL DEFAULT 0,
    minor_3      bigint NOT NULL DEFAULT 0,
    minor_4      bigint NOT NULL DEFAULT 0,
    minor_5      bigint NOT NULL DEFAULT 0,
    minor_6      bigint NOT NULL DEFAULT 0,
    minor_7      bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (branch, begins_on, kind, currency, anchor)  -- what tells rows apart comes first
) PARTITION BY LIST (anchor);
-- Apart on disk as well: a report asks for one of them, and reads it whole.
CREATE TABLE branch_balance_due PARTITION OF branch_balance FOR VALUES IN ('due') WITH (fillfactor = 80);
CREATE TABLE branch_balance_invoice PARTITION OF branch_balance FOR VALUES IN ('invoice') WITH (fillfactor = 80);

-- Which of its row's eight days a day is, from 0.
CREATE FUNCTION day_of_eight(p_day date) RETURNS int LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT (p_day - '0001-01-01'::date) % 8
$$;

-- Sums of minor units. Unlike sum(bigint) it stays a bigint, refuses to leave its range, and costs half; processes that
-- share a scan can add up their parts.
CREATE AGGREGATE minor_sum(bigint) (SFUNC = int8pl, STYPE = bigint, INITCOND = '0', COMBINEFUNC = int8pl,
                                    PARALLEL = SAFE);

-- What stood open when day `taken_on` began: all movements effective before it. Kept per branch, so that a back-dated
-- fact makes only its own branch's later ones stale. Rows of a snapshot that is not `ready` are never read.
CREATE TABLE snapshot (
    grain    text NOT NULL CHECK (grain IN ('branch', 'item')),
    branch   text NOT NULL,
    taken_on date NOT NULL,
    state    text NOT NULL CHECK (state IN ('building', 'ready', 'stale')),
    PRIMARY KEY (branch, taken_on, grain)                -- a writer asks for those after a day, of whatever grain
);
CREATE TABLE branch_snapshot (taken_on date NOT NULL, LIKE branch_balance INCLUDING GENERATED);
CREATE INDEX branch_snapshot_at ON branch_snapshot (taken_on, anchor, branch);
CREATE TABLE item_snapshot (
    taken_on     date   NOT NULL,
    branch       text   NOT NULL,
    kind         text   NOT NULL,
    item_id      uuid   NOT NULL,                       -- of unapplied: the receipt
    account_id   uuid,
    job_id       uuid,
    currency     text   NOT NULL,
    issued_on    date   NOT NULL,
    due_on       date   NOT NULL,
    amount_minor bigint NOT NULL
);
CREATE INDEX item_snapshot_at ON item_snapshot (branch, taken_on);
