package store

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
)

// These statements are written here, and not in schema/queries, because sqlc can not parse
// them.
const (
	// readAll is for statements that look at all tenants: they are planned accordingly until the transaction ends.
	readAll = `SELECT set_config(name, value, true) FROM (VALUES ('enable_hashjoin', 'on'), ('enable_mergejoin', 'on'),
		('enable_seqscan', 'on'), ('plan_cache_mode', 'force_custom_plan')) AS planner (name, value)`

	lockSummaries = `SELECT at FROM tenant_summaries_made FOR UPDATE SKIP LOCKED`

	// countOutcomes counts each tenant's events that were not counted yet, in order and some thousand at a time.
	countOutcomes = `WITH fresh AS MATERIALIZED (
		SELECT t.id AS tenant_id, v.id, v.type, (v.created_at AT TIME ZONE 'UTC')::date AS day
		FROM tenants t LEFT JOIN tenant_summaries s ON s.tenant_id = t.id
			CROSS JOIN LATERAL (
				SELECT e.id, e.type, e.created_at FROM events e
				WHERE e.tenant_id = t.id AND e.id > coalesce(s.counted, '00000000-0000-0000-0000-000000000000') AND e.id < events_horizon()
				ORDER BY e.id LIMIT 50000
			) v
	), counted AS (
		INSERT INTO tenant_summaries (tenant_id, day, used, backlog, sent, bounced, counted)
		SELECT DISTINCT ON (tenant_id) tenant_id, $1::date, 0, 0, 0, 0, id FROM fresh ORDER BY tenant_id, id DESC
		ON CONFLICT (tenant_id) DO UPDATE SET counted = excluded.counted
	)
	INSERT INTO tenant_outcomes AS o (tenant_id, day, sent, bounced)
	SELECT tenant_id, day, count(*) FILTER (WHERE type = 'email.sent'), count(*) FILTER (WHERE type = 'email.bounced')
	FROM fresh WHERE type IN ('email.sent', 'email.bounced') AND day > $1::date - 7
	GROUP BY tenant_id, day
	ON CONFLICT (tenant_id, day) DO UPDATE SET sent = o.sent + excluded.sent, bounced = o.bounced + excluded.bounced`

	forgetOutcomes = `DELETE FROM tenant_outcomes WHERE day <= $1::date - 7`

	// makeSummaries writes what has changed.
	makeSummaries = `WITH backlog AS MATERIALIZED (
		SELECT r.tenant_id, count(*)::integer AS recipients, min(e.created_at) AS oldest_at
		FROM (
			SELECT e.id, e.created_at FROM dispatches d JOIN emails e ON e.dispatch_id = d.id WHERE d.finished_at IS NULL
			UNION ALL
			SELECT id, created_at FROM emails WHERE dispatch_id IS NULL AND release_at IS NULL
		) e JOIN recipients r ON r.email_id = e.id
		WHERE r.status IN ('queued', 'sending', 'deferred')
		GROUP BY r.tenant_id
	), outcome AS MATERIALIZED (
		SELECT tenant_id, sum(sent)::integer AS sent, sum(bounced)::integer AS bounced
		FROM tenant_outcomes WHERE day > $1::date - 7 GROUP BY tenant_id
	)
	INSERT INTO tenant_summaries AS s (tenant_id, day, used, backlog, oldest_at, sent, bounced, counted)
	SELECT t.id, t.day, coalesce(u.reserved, 0), coalesce(b.recipients, 0), b.oldest_at, coalesce(o.sent, 0), coalesce(o.bounced, 0),
		'00000000-0000-0000-0000-000000000000'
	FROM (
		SELECT id, ($2::timestamptz AT TIME ZONE coalesce(nullif(settings ->> 'timezone', ''), 'UTC'))::date AS day FROM tenants
	) t LEFT JOIN daily_usage u ON u.tenant_id = t.id AND u.day = t.day
		LEFT JOIN backlog b ON b.tenant_id = t.id LEFT JOIN outcome o ON o.tenant_id = t.id
	ON CONFLICT (tenant_id) DO UPDATE
	SET day = excluded.day, used = excluded.used, backlog = excluded.backlog, oldest_at = excluded.oldest_at,
		sent = excluded.sent, bounced = excluded.bounced
	WHERE (s.day, s.used, s.backlog, s.sent, s.bounced) <> (excluded.day, excluded.used, excluded.backlog, excluded.sent, excluded.bounced)
		OR s.oldest_at IS DISTINCT FROM excluded.oldest_at`

	setSummariesMade = `UPDATE tenant_summaries_made SET at = $1`
)

// MakeSummaries makes the summaries of all tenants, unless another process is about it.
func (s *Store) MakeSummaries(ctx context.Context, now time.Time) error {
	err := s.readingAll(ctx, func(tx pgx.Tx) error {
		var at time.Time
		if err := tx.QueryRow(ctx, lockSummaries).Scan(&at); err != nil {
			return err
		}
		today := now.UTC().Format(time.DateOnly)
		batch := &pgx.Batch{}
		batch.Queue(countOutcomes, today)
		batch.Queue(forgetOutcomes, today)
		batch.Queue(makeSummaries, today, now)
		batch.Queue(setSummariesMade, now)
		return tx.SendBatch(ctx, batch).Close()
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	return translate("make tenant summaries", err)
}

// readingAll runs fn in a transaction for statements that look at all tenants.
func (s *Store) readingAll(ctx context.Context, fn func(pgx.Tx) error) error {
	return pgx.BeginFunc(ctx, s.system, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, readAll); err != nil {
			return err
		}
		return fn(tx)
	})
}
