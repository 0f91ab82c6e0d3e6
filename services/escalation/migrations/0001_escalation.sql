-- services/escalation/migrations/0001_escalation.sql
-- Why   what a command must look up beside its streams: policies as data, who has an item, what contact said of it
-- Locks none, new tables.  Time under 1 s.  Undo  forward only

-- The steps of a branch's dunning policy. A branch without rows of its own follows those of '*'.
CREATE TABLE dunning_step (
    branch text NOT NULL,
    step   int  NOT NULL CHECK (step > 0),
    label  text NOT NULL,
    PRIMARY KEY (branch, step)
);
INSERT INTO dunning_step VALUES
    ('*', 1, 'reminder'), ('*', 2, 'statement'), ('*', 3, 'demand letter'), ('*', 4, 'final notice'), ('*', 5, 'escalated');

-- What is too little for an agency, by currency; a branch's own row goes before that of '*'. Without a row, nothing is.
CREATE TABLE placement_minimum (
    branch        text   NOT NULL,
    currency      text   NOT NULL,
    minimum_minor bigint NOT NULL CHECK (minimum_minor >= 0),
    PRIMARY KEY (branch, currency)
);
INSERT INTO placement_minimum VALUES ('*', 'USD', 5000);

-- Kept by the store's index, in the transaction of the facts it follows from. It can be built again from `events`.
-- None of the tables below has a branch, nor row-level security: they hold ids only, and a rule that a branch may not
-- see the reason of must hold for it all the same.
CREATE TABLE placed_item (
    item_id      uuid        NOT NULL,
    placement_id uuid        NOT NULL,
    ended        boolean     NOT NULL,
    placed_at    timestamptz NOT NULL DEFAULT clock_timestamp(),  -- money recorded before it did not come through the agency
    PRIMARY KEY (item_id, placement_id)
);
CREATE UNIQUE INDEX placed_item_once ON placed_item (item_id) WHERE NOT ended;
CREATE INDEX placed_item_placement ON placed_item (placement_id);

-- Folded from the contact topic.
CREATE TABLE contested_item (
    dispute_id uuid PRIMARY KEY,
    item_id    uuid    NOT NULL,
    is_open    boolean NOT NULL
);
CREATE INDEX contested_item_item ON contested_item (item_id) WHERE is_open;
CREATE TABLE promised_item (
    promise_id uuid    NOT NULL,
    item_id    uuid    NOT NULL,
    is_open    boolean NOT NULL,
    PRIMARY KEY (promise_id, item_id)
);
CREATE INDEX promised_item_item ON promised_item (item_id) WHERE is_open;

-- Folded from the payment topic. An agency earns on what came in while it had the item, by the deposit date.
CREATE TABLE receipt_date (
    receipt_id  uuid PRIMARY KEY,
    received_on date NOT NULL
);

GRANT SELECT ON dunning_step, placement_minimum TO openitem_app;
GRANT SELECT, INSERT, UPDATE ON placed_item, contested_item, promised_item, receipt_date TO openitem_app;
