-- No second may be counted twice: what a contract owes of a token under one label accrues at one rate at a time.
SELECT chain_id, deployment, day, contract, token, kind, source, side, basis, begins, ends
FROM (
    SELECT
        *,
        lag(ends) OVER (
            PARTITION BY chain_id, deployment, contract, token, kind, source, side, basis ORDER BY begins, ends
        ) AS ended
    FROM stream_piece
) AS piece
WHERE begins < ended
ORDER BY chain_id, deployment, contract, begins;
