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
    amount_minor   bigint      NOT NULL,
    PRIMARY KEY (stream, stream_version, line)
);
CREATE INDEX movement_by_day ON movement (branch, effective_on)
    INCLUDE (currency, kind, account_id, issued_on, due_on, amount_minor);
CREATE INDEX movement_by_recorded ON movement (recorded_at);
-- What was billed to fall due in some weeks, for cash flow: few of all days, and of the causes only those that bill.
CREATE INDEX movement_billed ON movement (due_on)
    WHERE kind = 'open' AND cause IN ('issued', 'released', 'credited', 'voided');
CREATE INDEX movement_written_off ON movement (effective_on) WHERE cause IN ('written_off', 'write_off_reversed');

-- What is open now, by branch and day. One row per anchor: with both dates in one key there would be nearly as many rows
-- as items. Rows of zero are removed by a timer.
CREATE TABLE branch_balance (
    anchor       text   NOT NULL,                       -- due, invoice
    branch       text   NOT NULL,
    currency     text   NOT NULL,
    kind         text   NOT NULL,
    anchored_on  date   NOT NULL,
    amount_minor bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (anchor, branch, currency, kind, anchored_on)
) PARTITION BY LIST (anchor);
-- Apart on disk as well: a report asks for one of them, and reads it whole.
CREATE TABLE branch_balance_due PARTITION OF branch_balance FOR VALUES IN ('due') WITH (fillfactor = 80);
CREATE TABLE branch_balance_invoice PARTITION OF branch_balance FOR VALUES IN ('invoice') WITH (fillfactor = 80);

-- What stood open when day `taken_on` began: all movements effective before it. Kept per branch, so that a back-dated
-- fact makes only its own branch's later ones stale. Rows of a snapshot that is not `ready` are never read.
CREATE TABLE snapshot (
    grain    text NOT NULL CHECK (grain IN ('branch', 'item')),
    branch   text NOT NULL,
    taken_on date NOT NULL,
    state    text NOT NULL CHECK (state IN ('building', 'ready', 'stale')),
    PRIMARY KEY (branch, grain, taken_on)
);
CREATE TABLE branch_snapshot (
    taken_on     date   NOT NULL,
    anchor       text   NOT NULL,
    branch       text   NOT NULL,
    currency     text   NOT NULL,
    kind         text   NOT NULL,
    anchored_on  date   NOT NULL,
    amount_minor bigint NOT NULL
);
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
