package activities_test

import (
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/email"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/tenant"
	"github.com/mailtura/mailtura/internal/track"
)

const clickBase = "https://click.acme.com"

// tokens are those of a mail's links and picture, which the key of the bundle has signed.
func (b *bundle) tokens(html string) (all []track.Token) {
	b.t.Helper()
	for _, m := range regexp.MustCompile(`"https://click\.acme\.com/t/[oc]/([\w-]+)(\.gif)?"`).FindAllStringSubmatch(html, -1) {
		token, ok := b.Tracking.Verify(m[1])
		require.True(b.t, ok)
		require.Equal(b.t, token.Kind == track.Open, m[2] != "")
		all = append(all, token)
	}
	return all
}

func newTracked(to ...string) email.Email {
	e := newEmail(to...)
	e.Content = email.Content{
		HTML: `<body><a href="https://x.yz/?a&amp;b">x</a> <a href="https://x.yz/end">end</a> <a href="https://x.yz/stop">stop</a>` +
			`<a href="https://x.yz/off" data-track="off">off</a></body>`,
		Variables: []byte(`{"unsubscribeUrl":"https://x.yz/end"}`),
		Headers:   []email.Header{{Name: "list-unsubscribe", Value: "<mailto:u@acme.com>, <https://x.yz/stop>"}},
		Tracking:  &track.Choice{Opens: true, Clicks: true, Base: clickBase},
	}
	return e
}

// Each recipient gets links of its own, in a message that is otherwise the same.
func TestDeliver_Tracks(t *testing.T) {
	t.Parallel()
	b := newBundle(t, tenant.Settings{})
	b.Tracking = track.NewKeys([]byte("secret"))
	e := newTracked("ada@example.com", "bob@example.com")
	e.Recipients = append(e.Recipients, recipient(email.BCC, "eve@example.com"))
	require.Equal(t, 3, b.deliver(b.dispatch(e)).Sent)
	known, err := b.Store.Tenant(t.Context(), acme)
	require.NoError(t, err)
	mails := b.mails()
	for _, r := range e.Recipients {
		m := mails[r.Address.Addr]
		own := track.Token{TenantID: acme, Generation: track.Generation(known.CreatedAt), Recipient: r.ID}
		click, open := own, own
		click.Kind, click.URL, open.Kind = track.Click, "https://x.yz/?a&b", track.Open
		require.Equal(t, []track.Token{click, open}, b.tokens(m.HTML))
		require.Equal(t, "<"+id.Email.Format(e.ID)+"@acme.com>", m.header("Message-ID"))
		require.Contains(t, m.HTML, `<a href="https://x.yz/end">end</a> <a href="https://x.yz/stop">stop</a><a href="https://x.yz/off">off</a>`)
		require.NotContains(t, m.Text, "click.acme.com", "text is not tracked")
		require.Contains(t, m.Text, "https://x.yz/?a&b")
	}
}

func TestDeliver_TracksWhatIsChosen(t *testing.T) {
	t.Parallel()
	b := newBundle(t, tenant.Settings{})
	b.Tracking = track.NewKeys([]byte("secret"))
	opens, clicks, neither, text := newTracked("o@example.com"), newTracked("c@example.com"), newTracked("n@example.com"), newTracked("t@example.com")
	opens.Content.Tracking.Clicks, clicks.Content.Tracking.Opens, neither.Content.Tracking = false, false, nil
	text.Content.HTML, text.Content.Text = "", "https://x.yz/"
	require.Equal(t, 4, b.deliver(b.dispatch(opens, clicks, neither, text)).Sent)
	mails := b.mails()
	for addr, want := range map[string][]track.Kind{"o@example.com": {track.Open}, "c@example.com": {track.Click}, "n@example.com": nil, "t@example.com": nil} {
		var got []track.Kind
		for _, token := range b.tokens(mails[addr].HTML) {
			got = append(got, token.Kind)
		}
		require.Equal(t, want, got, addr)
	}
	require.Contains(t, mails["n@example.com"].HTML, `data-track="off"`, "what is not tracked is as it was written")
}

// A message that is tried again has the same bytes.
func TestDeliver_TracksTheSameAgain(t *testing.T) {
	t.Parallel()
	b := newBundle(t, tenant.Settings{})
	b.Tracking = track.NewKeys([]byte("secret"))
	e := newTracked("x+defer@example.com")
	in := b.dispatch(e)
	require.Equal(t, 1, b.deliver(in).Deferred)
	for _, addr := range []string{"first@example.com", "second@example.com"} {
		b.exec(`UPDATE recipients SET address = $1, status = 'deferred', next_attempt_at = $2`, addr, time.Now())
		require.Equal(t, 1, b.deliver(in).Sent)
	}
	mails := b.mails()
	require.Len(t, mails, 2)
	require.Len(t, b.tokens(mails["first@example.com"].HTML), 2)
	require.Equal(t, mails["first@example.com"].HTML, mails["second@example.com"].HTML)
}
