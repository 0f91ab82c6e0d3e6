-- Promises, disputes, follow-ups and holds, each as its stream has it now.

CREATE TABLE promise (
    promise_id    uuid PRIMARY KEY,
    branch        text NOT NULL,
    account_id    uuid,
    plan_id       uuid,
    currency      text,
    amount_minor  bigint,
    paid_minor    bigint,                               -- counted towards it so far
    promised_on   date,
    grace_days    int,
    threshold_pct int,
    status        text,                                 -- open, kept, broken, cancelled
    reason        text,                                 -- why broken or cancelled
    made_on       date,
    decided_on    date
);
CREATE INDEX promise_by_account ON promise (account_id);
CREATE INDEX promise_open ON promise (promised_on) WHERE status = 'open';

CREATE TABLE promise_item (
    item_id    uuid NOT NULL,
    promise_id uuid NOT NULL,
    branch     text NOT NULL,
    PRIMARY KEY (item_id, promise_id)
);

CREATE TABLE dispute (
    dispute_id   uuid PRIMARY KEY,
    branch       text NOT NULL,
    account_id   uuid,
    item_id      uuid,
    currency     text,
    amount_minor bigint,
    upheld_minor bigint,
    reason       text,
    owner        text,
    status       text,                                  -- open, resolved
    outcome      text,
    opened_on    date,
    resolved_on  date
);
CREATE INDEX dispute_by_account ON dispute (account_id);
CREATE INDEX dispute_open ON dispute (item_id) WHERE status = 'open';

CREATE TABLE follow_up (
    follow_up_id uuid PRIMARY KEY,
    branch       text NOT NULL,
    account_id   uuid,
    item_ids     uuid[],
    due_on       date,
    owner        text,
    status       text,                                  -- scheduled, done
    attempt_id   uuid,
    scheduled_on date,
    done_on      date
);
CREATE INDEX follow_up_by_account ON follow_up (account_id);
CREATE INDEX follow_up_due ON follow_up (due_on) WHERE status = 'scheduled';

-- One row per account that ever was on hold. `released_*` speak of the last release and count only while not `active`.
CREATE TABLE hold (
    account_id  uuid PRIMARY KEY,
    branch      text NOT NULL,
    active      boolean,
    reason      text,
    placed_on   date,
    released_on date,
    released_by text
);
