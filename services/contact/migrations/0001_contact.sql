-- services/contact/migrations/0001_contact.sql
-- Why   what a command must look up beside its streams, and what people wrote, which can be forgotten
-- Locks none, new tables.  Time under 1 s.  Undo  forward only

-- Kept by the store's index, in the transaction of the facts they follow from. Both can be built again from `events`.
CREATE TABLE promise_by_item (
    promise_id  uuid NOT NULL,
    item_id     uuid NOT NULL,
    account_id  uuid NOT NULL,
    branch      text NOT NULL,
    status      text NOT NULL CHECK (status IN ('open', 'kept', 'broken', 'cancelled')),
    made_on     date NOT NULL,
    promised_on date NOT NULL,
    due_on      date NOT NULL,                          -- with its grace: the last day on which a receipt counts
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (promise_id, item_id)
);
CREATE INDEX promise_by_item_item ON promise_by_item (item_id);
CREATE INDEX promise_by_item_due ON promise_by_item (due_on) WHERE status = 'open';

CREATE TABLE dispute_by_item (
    dispute_id   uuid PRIMARY KEY,
    item_id      uuid   NOT NULL,
    account_id   uuid   NOT NULL,
    branch       text   NOT NULL,
    amount_minor bigint NOT NULL,
    currency     text   NOT NULL,
    status       text   NOT NULL CHECK (status IN ('open', 'resolved')),
    opened_on    date   NOT NULL
);
CREATE INDEX dispute_by_item_item ON dispute_by_item (item_id) WHERE status = 'open';

-- Folded from the payment topic: what a promise that is put on record late must know of the past.
-- No branch: a receipt may settle items of several, and its date tells nobody anything.
CREATE TABLE receipt_date (
    receipt_id  uuid PRIMARY KEY,
    received_on date NOT NULL                           -- the deposit date: a promise is kept by it, not by the booking
);
CREATE TABLE application (
    event_id     uuid   NOT NULL,                       -- of the payment fact: a repeat changes nothing
    item_id      uuid   NOT NULL,
    receipt_id   uuid   NOT NULL,
    branch       text   NOT NULL,                       -- the item's
    applied_on   date   NOT NULL,
    change_minor bigint NOT NULL,                       -- negative when it was undone
    currency     text   NOT NULL,
    PRIMARY KEY (event_id, item_id)
);
CREATE INDEX application_by_item ON application (item_id);
CREATE INDEX application_by_receipt ON application (receipt_id);
CREATE TABLE ended_item (
    item_id  uuid PRIMARY KEY,
    branch   text NOT NULL,
    how      text NOT NULL CHECK (how IN ('voided', 'written_off')),
    ended_on date NOT NULL
);

-- People's words. No fact holds them, no backup of the log does, and they can be forgotten: the row then says when and
-- by whom, and its body is gone.
CREATE TABLE note (
    note_id      uuid PRIMARY KEY,
    account_id   uuid NOT NULL,
    branch       text NOT NULL,
    body         text,                                  -- scrubbed of card numbers before it came here
    author       text NOT NULL,
    at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    forgotten_at timestamptz,
    forgotten_by text,
    CHECK ((body IS NULL) = (forgotten_at IS NOT NULL) AND (forgotten_at IS NULL) = (forgotten_by IS NULL))
);
CREATE INDEX note_by_account ON note (account_id, at);

ALTER TABLE promise_by_item ENABLE ROW LEVEL SECURITY;
ALTER TABLE dispute_by_item ENABLE ROW LEVEL SECURITY;
ALTER TABLE application ENABLE ROW LEVEL SECURITY;
ALTER TABLE ended_item ENABLE ROW LEVEL SECURITY;
ALTER TABLE note ENABLE ROW LEVEL SECURITY;
CREATE POLICY branch_only ON promise_by_item USING (may_see(branch));
CREATE POLICY branch_only ON dispute_by_item USING (may_see(branch));
CREATE POLICY branch_only ON application USING (may_see(branch));
CREATE POLICY branch_only ON ended_item USING (may_see(branch));
CREATE POLICY branch_only ON note USING (may_see(branch));

GRANT SELECT, INSERT, UPDATE ON promise_by_item, dispute_by_item TO openitem_app;
GRANT SELECT, INSERT ON receipt_date, application TO openitem_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON ended_item TO openitem_app;
GRANT SELECT, INSERT, UPDATE (body, forgotten_at, forgotten_by) ON note TO openitem_app;
