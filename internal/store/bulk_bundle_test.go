package store_test

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/email"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/mail/address"
	"github.com/mailtura/mailtura/internal/store"
)

// bulk is a bulk send of a test.
type bulk struct {
	*bundle
	id     uuid.UUID
	shared email.Email
	next   int // line
}

// newBulk begins an upload of a tenant. change, which may be nil, changes what its lines share.
func (b *bundle) newBulk(tenantID string, change func(*email.Email)) *bulk {
	b.t.Helper()
	shared := newEmail(tenantID)
	shared.Class, shared.Tags = email.Bulk, []string{"news"}
	shared.Content = email.Content{
		HTML: "<p>Hi {{name}}</p>", ReplyTo: "help@acme.com", Attachments: []email.Attachment{{Filename: "a.txt", Content: []byte("a")}},
	}
	if change != nil {
		change(&shared)
	}
	k := &bulk{bundle: b, id: id.New(), shared: shared, next: 2}
	require.NoError(b.t, b.CreateBulkSend(b.t.Context(), k.id, "News", "", shared, time.Now()))
	return k
}

// lines are the next n lines of the upload.
func (k *bulk) lines(n int) []store.BulkLine {
	all := make([]store.BulkLine, n)
	for i := range all {
		all[i] = store.BulkLine{
			Number: k.next, To: address.Address{Addr: fmt.Sprintf("r%d@example.com", k.next)},
			Variables: json.RawMessage(fmt.Sprintf(`{"name":"%d"}`, k.next)), Metadata: json.RawMessage(`{"n":1}`),
		}
		k.next++
	}
	return all
}

func (k *bulk) add(at time.Time, batch store.BulkBatch) store.BulkBatch {
	k.t.Helper()
	done, err := k.AddBulkBatch(k.t.Context(), k.id, k.shared, batch, at)
	require.NoError(k.t, err)
	return done
}

// upload adds n lines in batches of at most 500, and ends the upload.
func (k *bulk) upload(at time.Time, n int) *bulk {
	k.t.Helper()
	for ; n > 0; n -= 500 {
		k.add(at, store.BulkBatch{Lines: k.lines(min(n, 500))})
	}
	_, err := k.CompleteBulkSend(k.t.Context(), k.shared.TenantID, k.id, nil, at)
	require.NoError(k.t, err)
	return k
}

func (k *bulk) take(at time.Time) store.BulkStep {
	k.t.Helper()
	step, err := k.TakeChunk(k.t.Context(), k.shared.TenantID, k.id, 2000, at)
	require.NoError(k.t, err)
	return step
}

func (k *bulk) now() store.BulkSend {
	k.t.Helper()
	got, err := k.BulkSend(k.t.Context(), k.shared.TenantID, k.id)
	require.NoError(k.t, err)
	return got
}

// reserved is what a tenant has reserved by day.
func (b *bundle) reservedOn(tenantID string) map[string]int {
	b.t.Helper()
	rows, err := b.conn.Query(b.t.Context(), `SELECT day::text, reserved FROM daily_usage WHERE tenant_id = $1 AND reserved > 0`, tenantID)
	require.NoError(b.t, err)
	defer rows.Close()
	days := map[string]int{}
	for rows.Next() {
		var day string
		var n int
		require.NoError(b.t, rows.Scan(&day, &n))
		days[day] = n
	}
	require.NoError(b.t, rows.Err())
	return days
}
