-- The receivables control account, from the facts of the ledger alone: no item, application or bucket enters it. Laws
-- hold the other read models against it.

CREATE TABLE control (
    branch            text   NOT NULL,
    currency          text   NOT NULL,
    invoiced_minor    bigint NOT NULL DEFAULT 0,        -- totals, retainage included
    credited_minor    bigint NOT NULL DEFAULT 0,
    voided_minor      bigint NOT NULL DEFAULT 0,
    received_minor    bigint NOT NULL DEFAULT 0,
    reversed_minor    bigint NOT NULL DEFAULT 0,
    refunded_minor    bigint NOT NULL DEFAULT 0,
    written_off_minor bigint NOT NULL DEFAULT 0,        -- less what was taken back
    applied_minor     bigint NOT NULL DEFAULT 0,        -- less what was unapplied; by the receipt's branch
    transferred_minor bigint NOT NULL DEFAULT 0,        -- + a receipt of this branch paid another's item, - the reverse
    PRIMARY KEY (branch, currency)
);

-- The balance of receivables: what buckets, retainage and unapplied cash must add up to, in every branch.
CREATE VIEW control_balance WITH (security_invoker = true) AS
SELECT branch, currency,
       invoiced_minor - credited_minor - voided_minor - (received_minor - reversed_minor - refunded_minor)
       - written_off_minor + transferred_minor AS amount_minor
FROM control;
