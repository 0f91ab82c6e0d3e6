-- Money that came in and went back, and how late each account pays.

CREATE TABLE cash_movement (
    stream         text        NOT NULL,
    stream_version int         NOT NULL,
    cause          text        NOT NULL,                -- received, reversed, refunded
    receipt_id     uuid        NOT NULL,
    branch         text        NOT NULL,
    account_id     uuid,                                -- as known when the fact was recorded
    method         text        NOT NULL,                -- the receipt's, also for what went back
    currency       text        NOT NULL,
    received_on    date        NOT NULL,                -- the receipt's deposit date
    effective_on   date        NOT NULL,
    recorded_at    timestamptz NOT NULL,
    amount_minor   bigint      NOT NULL,                -- negative where it went back
    PRIMARY KEY (stream, stream_version)
);
CREATE INDEX cash_movement_by_day ON cash_movement (effective_on, branch);

CREATE TABLE cash_receipt_day (
    effective_on   date   NOT NULL,
    branch         text   NOT NULL,
    currency       text   NOT NULL,
    method         text   NOT NULL,
    received_minor bigint NOT NULL DEFAULT 0,
    reversed_minor bigint NOT NULL DEFAULT 0,           -- positive
    refunded_minor bigint NOT NULL DEFAULT 0,           -- positive
    receipts       bigint NOT NULL DEFAULT 0,           -- how many were received
    PRIMARY KEY (effective_on, branch, currency, method)
);

-- Amount-weighted days late = late_minor_days / paid_minor, where paid_minor > 0. Early payment counts negative.
CREATE TABLE payment_behaviour (
    account_id      uuid    NOT NULL,
    branch          text    NOT NULL,                   -- of the items paid
    currency        text    NOT NULL,
    paid_minor      bigint  NOT NULL DEFAULT 0,
    late_minor_days numeric NOT NULL DEFAULT 0,         -- amount x (deposit date - due date)
    PRIMARY KEY (account_id, branch, currency)
);
