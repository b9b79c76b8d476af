-- The queue of all tenants: when each request is due, in microseconds from the start, and the worker that its tenant is with.
CREATE TABLE queue (
    id bigint PRIMARY KEY, tenant int NOT NULL, worker smallint NOT NULL, due bigint NOT NULL, state smallint NOT NULL DEFAULT 0,
    callee text NOT NULL, caller text NOT NULL, url text NOT NULL
) WITH (fillfactor = 50);

CREATE FUNCTION now_us() RETURNS bigint LANGUAGE sql AS $$ SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint $$;

-- Takes what is due of one worker's tenants until all of it is dispatched, and says how late each was once it was durable.
-- It runs in the server, so that no client holds it up.
CREATE PROCEDURE dispatch(me int, start bigint, expected bigint, most int) LANGUAGE plpgsql AS $$
DECLARE
    told bigint;
    -- Nothing of this worker is due before it: so that no scan begins with what was taken and is not vacuumed away.
    seen bigint := 0;
    made bigint := 0;
    dues bigint[];
    orders text[];
BEGIN
    WHILE made < expected LOOP
        told := now_us() - start;
        WITH taken AS MATERIALIZED (
            SELECT ctid, due FROM queue WHERE worker = me AND state = 0 AND due >= seen AND due <= told ORDER BY due LIMIT most FOR UPDATE SKIP LOCKED
        ), dispatched AS (
            UPDATE queue SET state = 1 FROM taken WHERE queue.ctid = taken.ctid
            RETURNING taken.due, concat_ws(' ', queue.id, callee, caller, url) AS told
        )
        SELECT array_agg(due), array_agg(dispatched.told) INTO dues, orders FROM dispatched;
        COMMIT;
        told := now_us() - start;
        IF dues IS NULL THEN
            PERFORM pg_sleep(0.0005);
        ELSE
            made := made + cardinality(dues);
            seen := (SELECT max(due) FROM unnest(dues) AS due);
            RAISE NOTICE 'late %', (SELECT string_agg((told - due)::text, ' ') FROM unnest(dues) AS due);
        END IF;
    END LOOP;
END
$$;
