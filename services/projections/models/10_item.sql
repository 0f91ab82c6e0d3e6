-- An item with everything known about it, for lists and for one.

CREATE VIEW item WITH (security_invoker = true) AS
SELECT o.*,
       a.number AS account_number, a.name AS account_name, a.collector,
       CASE
           WHEN o.kind IS NULL THEN 'expected'          -- Money or words about it came before the item itself.
           WHEN o.kind = 'receipt' THEN CASE WHEN o.open_minor <> 0 THEN 'unapplied'
                                             WHEN o.cancelled_minor <> 0 THEN 'reversed' ELSE 'settled' END
           WHEN o.open_minor <> 0 OR o.retainage_minor <> 0 THEN 'open'
           WHEN o.cancelled_minor <> 0 THEN 'voided'
           WHEN o.written_off_minor <> 0 THEN 'written_off'
           ELSE 'settled'
       END AS status,
       p.promise_id, p.promised_on, p.amount_minor AS promised_minor,
       c.contacted_on AS last_contact_on, c.channel AS last_contact_channel, c.outcome AS last_contact_outcome,
       g.agency, s.step, s.label AS step_label, coalesce(d.disputed_minor, 0) AS disputed_minor
FROM open_item o
LEFT JOIN account a ON a.account_id = o.account_id
LEFT JOIN last_contact c ON c.subject_id = o.item_id
LEFT JOIN item_step s ON s.item_id = o.item_id
LEFT JOIN LATERAL (
    SELECT sum(d.amount_minor)::bigint AS disputed_minor FROM dispute d
    WHERE d.item_id = o.item_id AND d.status = 'open'
) d ON true
-- The promise that falls due first counts.
LEFT JOIN LATERAL (
    SELECT p.promise_id, p.promised_on, p.amount_minor
    FROM promise_item i JOIN promise p USING (promise_id)
    WHERE i.item_id = o.item_id AND p.status = 'open'
    ORDER BY p.promised_on, p.promise_id LIMIT 1
) p ON true
LEFT JOIN LATERAL (
    SELECT q.agency
    FROM placement_item i JOIN placement q USING (placement_id)
    WHERE i.item_id = o.item_id AND q.status = 'placed'
    ORDER BY q.placed_on DESC, q.placement_id LIMIT 1
) g ON true;
