-- Whether a run of days was read whole, so that whatever was created in it was seen.
CREATE OR REPLACE FUNCTION held_whole(of_chain bigint, of_deployment text, of_day date, days_before integer)
RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT count(*) > days_before
    FROM deployment_day
    WHERE chain_id = of_chain AND deployment = of_deployment
        AND day BETWEEN of_day - days_before AND of_day AND blocks_held = blocks
$$;
COMMENT ON FUNCTION held_whole(bigint, text, date, integer) IS 'Whether every block of a day and of so many days before it is held for a deployment: a pool that trades then and whose creation is not among them is older.';
