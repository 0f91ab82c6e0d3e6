-- services/mirror/migrations/0001_mirror.sql
-- Why   a command here may name accounts and items that other services own; it is decided without asking them
-- Locks none, new tables.  Time under 1 s.  Undo  forward only

CREATE TABLE mirror_branch (
    branch   text PRIMARY KEY,
    name     text NOT NULL,
    timezone text NOT NULL,                             -- IANA name: "today" of the branch follows it
    version  int  NOT NULL                              -- of the stream branch-<code>
);

CREATE TABLE mirror_account (
    account_id uuid PRIMARY KEY,
    branch     text NOT NULL,                           -- the home branch
    number     text NOT NULL,
    name       text,
    profile    text NOT NULL,
    currency   text NOT NULL,
    terms_days int  NOT NULL,
    collector  text,
    version    int  NOT NULL                            -- of the stream account-<uuid>
);

-- Two publishers speak about one item: invoice says what was billed, payment what is open. Each has columns of its own
-- and the version of its own stream, so that the order in which they arrive makes no difference.
CREATE TABLE mirror_item (
    item_id            uuid PRIMARY KEY,
    invoice_id         uuid NOT NULL,
    branch             text NOT NULL,
    account_id         uuid NOT NULL,
    job_id             uuid,
    issued_on          date NOT NULL,
    due_on             date NOT NULL,
    currency           text NOT NULL,
    number             text,
    billed_minor       bigint,                          -- without the retainage withheld
    credited_minor     bigint,
    voided             boolean NOT NULL DEFAULT false,
    invoice_version    int NOT NULL DEFAULT 0,          -- of the stream invoice-<uuid>
    payment_open_minor bigint,
    item_version       int NOT NULL DEFAULT 0,          -- of the stream item-<uuid>
    -- Payment is the authority on what is open. Until it has spoken, what was billed is.
    open_minor         bigint NOT NULL GENERATED ALWAYS AS (
        CASE WHEN voided THEN 0
             ELSE coalesce(payment_open_minor, greatest(coalesce(billed_minor, 0) - coalesce(credited_minor, 0), 0))
        END) STORED
);
CREATE INDEX mirror_item_by_account ON mirror_item (account_id);

ALTER TABLE mirror_branch ENABLE ROW LEVEL SECURITY;
ALTER TABLE mirror_account ENABLE ROW LEVEL SECURITY;
ALTER TABLE mirror_item ENABLE ROW LEVEL SECURITY;
CREATE POLICY branch_only ON mirror_branch USING (may_see(branch));
CREATE POLICY branch_only ON mirror_account USING (may_see(branch));
CREATE POLICY branch_only ON mirror_item USING (may_see(branch));
GRANT SELECT, INSERT, UPDATE ON mirror_branch, mirror_account, mirror_item TO openitem_app;
