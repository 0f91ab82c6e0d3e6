-- One row per item as it is now: an invoice, a released part of retainage, or a receipt, which is negative. Amounts are
-- added to, so facts may come in any order; the rest is filled in as it becomes known.

CREATE TABLE open_item (
    item_id           uuid PRIMARY KEY,                 -- invoice, release or receipt
    kind              text CHECK (kind IN ('invoice', 'release', 'receipt')),
    invoice_id        uuid,                             -- absent for a receipt
    branch            text NOT NULL,
    account_id        uuid,                             -- absent while the payer of a receipt is unknown
    job_id            uuid,
    number            text,
    reference         text,                             -- an invoice's PO; a receipt's check or trace number
    method            text,                             -- of a receipt
    currency          text,                             -- absent while no fact with money has come
    issued_on         date,                             -- a receipt's deposit date
    due_on            date,                             -- the same for a receipt
    total_minor       bigint NOT NULL DEFAULT 0,
    open_minor        bigint NOT NULL DEFAULT 0,        -- what ages; a receipt's unapplied rest, negative
    retainage_minor   bigint NOT NULL DEFAULT 0,        -- still withheld
    released_minor    bigint NOT NULL DEFAULT 0,        -- retainage that became items of their own
    credited_minor    bigint NOT NULL DEFAULT 0,
    paid_minor        bigint NOT NULL DEFAULT 0,        -- applied; negative for a receipt
    written_off_minor bigint NOT NULL DEFAULT 0,
    cancelled_minor   bigint NOT NULL DEFAULT 0,        -- voided; of a receipt: reversed or refunded, negative
    stated_minor      bigint,                           -- what the payment service says is open, once it said so
    changed_at        timestamptz,                      -- when we learned the newest fact that changed an amount
    -- Holds after every fact, in any order: each fact moves as much in as out.
    CONSTRAINT foots CHECK (total_minor = open_minor + retainage_minor + released_minor + credited_minor + paid_minor
                                        + written_off_minor + cancelled_minor)
) WITH (fillfactor = 85);

-- The open ones, with all that aging by account asks for: it reads the index alone. Invoices and receipts are apart, so
-- that the kind of a line is a constant and no text to compare.
CREATE INDEX open_item_open ON open_item (branch)
    INCLUDE (account_id, currency, issued_on, due_on, open_minor) WHERE open_minor <> 0 AND kind IS DISTINCT FROM 'receipt';
CREATE INDEX open_item_unapplied ON open_item (branch)
    INCLUDE (account_id, currency, issued_on, due_on, open_minor) WHERE open_minor <> 0 AND kind = 'receipt';
CREATE INDEX open_item_withheld ON open_item (branch)
    INCLUDE (account_id, currency, issued_on, due_on, retainage_minor) WHERE retainage_minor <> 0;
-- The open ones of a few accounts: a page of a report whose order is known already.
CREATE INDEX open_item_of_account ON open_item (account_id) WHERE open_minor <> 0;
CREATE INDEX open_item_by_account ON open_item (account_id);
-- The order of the list of items, so that a page reads a page: written as the list asks for it, to the letter.
CREATE INDEX open_item_by_due ON open_item ((coalesce(due_on, '-infinity')), item_id);
CREATE INDEX open_item_by_number ON open_item (number) WHERE number IS NOT NULL;

-- The newest attempt to reach somebody about an item, or about an account as a whole.
CREATE TABLE last_contact (
    subject_id   uuid PRIMARY KEY,                      -- an item or an account
    branch       text        NOT NULL,
    contacted_on date        NOT NULL,
    recorded_at  timestamptz NOT NULL,
    attempt_id   uuid        NOT NULL,
    channel      text        NOT NULL,
    outcome      text        NOT NULL
);

-- How far the dunning of an item has come. Apart from the item: a fact of another service must not name its branch.
CREATE TABLE item_step (
    item_id    uuid PRIMARY KEY,
    branch     text NOT NULL,
    account_id uuid,
    step       int,
    label      text,
    reached_on date
);
