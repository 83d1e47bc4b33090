package e2e

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	mailtura "github.com/mailtura/mailtura/clients/go"
)

// A preview has, to the byte, what arrives: with a layout, a partial, CSS that is inlined and
// a text that is derived; and so has a test that is sent of it.
func TestTemplates_APreviewIsWhatArrives(t *testing.T) {
	t.Parallel()
	_, c := shared.newTenant(t, mailtura.Settings{FromName: ptr("Bäckerei"), ReplyTo: ptr("Help <help@acme.com>")})
	ctx := t.Context()
	partial := mailtura.CreateTemplateKind("partial")
	for _, in := range []mailtura.CreateTemplate{
		{Name: "footer", Kind: &partial, Html: ptr("<p class=\"small\">{{company}} &mdash; Köln</p>\n")},
		{Name: "page", Kind: &partial, Html: ptr(
			"<html><head><style>.small { font-size: 11px } a:hover { color: red }</style></head><body>{{> @partial-block}}{{> footer}}</body></html>")},
		{Name: "order", Subject: ptr("Order {{number}} ✓"), Html: ptr(
			"{{#> page}}<h1>Hi {{name}}</h1>{{#if items}}<ul>{{#each items}}<li>{{@index}}: {{title}}</li>{{/each}}</ul>{{/if}}{{/page}}")},
	} {
		made, err := c.CreateTemplateWithResponse(ctx, nil, in)
		require.NoError(t, err)
		require.Equal(t, http.StatusCreated, made.StatusCode(), string(made.Body))
	}
	variables := map[string]any{
		"number": 42, "name": "Ada & Bob", "company": "Acme", "items": []any{map[string]any{"title": "Tea"}, map[string]any{"title": "茶"}},
	}
	recipient, tested := address(t, "preview"), address(t, "test")
	shown, err := c.PreviewTemplateWithResponse(ctx, "order", nil, mailtura.PreviewTemplate{To: previewTo(recipient), Variables: &variables})
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, shown.StatusCode(), string(shown.Body))
	want := shown.JSON200
	require.Contains(t, *want.Html, `<p class="small" style="font-size:11px">Acme — Köln</p>`)

	send(t, c, mailtura.SendEmail{To: to(recipient), Template: ptr("order"), Variables: &variables})
	sent, err := c.TestTemplateWithResponse(ctx, "order", nil, mailtura.TestTemplate{To: testTo(tested), Variables: &variables})
	require.NoError(t, err)
	require.Equal(t, http.StatusAccepted, sent.StatusCode(), string(sent.Body))
	for _, who := range []string{recipient, tested} {
		got := shared.open(t, shared.await(t, who, 1, 60*time.Second)[0].ID)
		require.Equal(t, want.Subject, got.Subject)
		require.Equal(t, *want.Html, unixLines(got.HTML))
		require.Equal(t, *want.Text, unixLines(got.Text))
		source := strings.ReplaceAll(shared.source(t, got.ID), tested, recipient)
		require.Equal(t, withoutID(*want.Source), withoutID(source))
	}
	found, err := c.ListEmailsWithResponse(ctx, &mailtura.ListEmailsParams{Tag: ptr("test")})
	require.NoError(t, err)
	require.Len(t, found.JSON200.Items, 1)
}

func testTo(address string) (to mailtura.TestTemplate_To) {
	if err := to.FromTestTemplateTo0(address); err != nil {
		panic(err)
	}
	return to
}

// unixLines undoes what the way of a mail does to the ends of lines (RFC 5321 §2.3.8).
func unixLines(s string) string { return strings.ReplaceAll(s, "\r\n", "\n") }

func previewTo(address string) *mailtura.PreviewTemplate_To {
	var to mailtura.PreviewTemplate_To
	if err := to.FromPreviewTemplateTo0(address); err != nil {
		panic(err)
	}
	return &to
}

var identity = regexp.MustCompile(`(?m)^Date: .*$|msg_[0-9a-z]{26}|[0-9a-f]{30}`)

// withoutID is a message without what no two of them have in common: its date, its id and the
// boundaries that are made of the id.
func withoutID(source string) string { return identity.ReplaceAllString(source, "…") }
