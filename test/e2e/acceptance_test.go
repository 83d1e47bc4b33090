package e2e

import (
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	mailtura "github.com/mailtura/mailtura/clients/go"
	"github.com/mailtura/mailtura/internal/testkit"
)

const (
	orders    = 60 // mails
	looked    = 4  // of them are opened and clicked
	letPass   = 20 // mails and calls come to their end before the worker is killed
	oneRecord = `<h1>Thank you, {{name}}</h1>{{#if items}}<ul>{{#each items}}<li>{{@index}}: {{title}}</li>{{/each}}</ul>{{else}}<p>Nothing today.</p>{{/if}}` +
		`<p><a href="{{shop}}/orders/{{number}}">Your order</a></p>`
)

// acceptance is a tenant developer's first day: API and worker are processes of their own.
type acceptance struct {
	*stack
	t      *testing.T
	client *mailtura.ClientWithResponses
	worker *testkit.Process
	run    func() // starts the worker
	page   *browser
	shop   *httptest.Server
	relay  *barrier
	hook   *endpoint
	called chan struct{} // closed when calls of the webhook are under way
	killed chan struct{}
	tail   *tail
	domain string
}

// Templates, tracking, events, webhooks and metrics, from /docs to numbers that agree, with
// a worker that is killed while mail and calls are under way.
func TestAcceptance(t *testing.T) {
	t.Parallel()
	a := newAcceptance(t)
	a.readReference()
	a.writeTemplate()
	for n := range orders {
		a.order(n)
	}
	a.killWorker()
	a.lookAtMails()
	events := a.awaitEvents()
	a.checkEvents(events)
	a.checkMails(events)
	a.checkCalls(events)
	a.checkMetrics(events)
}

func newAcceptance(t *testing.T) *acceptance {
	t.Helper()
	s, err := newStack(t.TempDir())
	require.NoError(t, err)
	t.Cleanup(s.Stop)
	a := &acceptance{stack: s, t: t, killed: make(chan struct{}), called: make(chan struct{}), domain: address(t, "")}
	a.relay = newBarrier(t, s.Inbox.SMTPAddr(), letPass)
	a.shop = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = fmt.Fprint(w, "This is ", r.URL.Path) }))
	t.Cleanup(a.shop.Close)
	environment := []string{"MAILTURA_SMTP_RELAY=smtp://" + a.relay.listener.Addr().String(), "SSL_CERT_FILE=" + a.serveHook()}
	api, err := s.Launch("apiserver", environment...)
	require.NoError(t, err)
	t.Cleanup(api.Stop)
	a.run = func() {
		a.worker, err = s.Launch("worker", environment...)
		require.NoError(t, err)
	}
	a.run()
	t.Cleanup(func() { a.worker.Stop() })
	tenant, c := s.newTenant(t, mailtura.Settings{Tracking: &mailtura.Tracking{Opens: ptr(true), Clicks: ptr(true)}})
	a.client, a.tail = c, newTail(t, s, s.newKey(t, tenant))
	a.hook.register(t, c, "*")
	a.page = newBrowser(t)
	return a
}

// serveHook starts the endpoint of the webhook, and gives the file of the certificate that is
// to be trusted. Calls beyond some are not answered until the worker was killed.
func (a *acceptance) serveHook() (certificate string) {
	a.hook = prepareEndpoint(a.t, func(number int) int {
		if number == letPass+1 {
			close(a.called)
		}
		if number > letPass {
			<-a.killed
		}
		return http.StatusNoContent
	})
	a.hook.Config.ErrorLog = log.New(io.Discard, "", 0) // connections that break
	a.hook.StartTLS()
	certificate = filepath.Join(a.t.TempDir(), "hook.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.hook.Certificate().Raw})
	require.NoError(a.t, os.WriteFile(certificate, text, 0o600))
	return certificate
}

// readReference finds in /docs what is used here.
func (a *acceptance) readReference() {
	a.page.do("open the reference", chromedp.Navigate(a.URL+"/docs"))
	for tag, operation := range map[string]string{"Templates": "See an email of a template", "Emails": "Send an email", "Metrics": "Count what happened"} {
		a.page.do("unfold "+tag, chromedp.Click(`//aside//*[normalize-space()="`+tag+`"]`, chromedp.NodeVisible))
		a.page.do("go to "+operation, chromedp.Click(`//aside//a[.//text()[normalize-space()="`+operation+`"]]`, chromedp.NodeVisible))
		a.page.do("read "+operation, chromedp.WaitVisible(`//h3[normalize-space()="`+operation+`"]`))
	}
	require.Empty(a.t, a.page.complaints, "errors in the console")
	require.Equal(a.t, map[string]bool{strings.TrimPrefix(a.URL, "http://"): true}, a.page.hosts, "nothing comes from elsewhere")
}

func (a *acceptance) writeTemplate() {
	made, err := a.client.CreateTemplateWithResponse(a.t.Context(), nil, mailtura.CreateTemplate{
		Name: "order", Subject: ptr("Order {{number}} for {{name}}"), Html: ptr(oneRecord),
	})
	require.NoError(a.t, err)
	require.Equal(a.t, http.StatusCreated, made.StatusCode(), string(made.Body))
}

// variables of an order: the loop and both ways of the condition are used.
func (a *acceptance) variables(n int) map[string]any {
	items := []any{map[string]any{"title": "Tea & biscuits"}, map[string]any{"title": "茶"}}
	return map[string]any{"number": n, "name": "Ada", "shop": a.shop.URL, "items": items[:2*(n%2)]}
}

func (a *acceptance) recipient(n int) string { return fmt.Sprintf("ada%d%s", n, a.domain) }

func (a *acceptance) order(n int) {
	variables := a.variables(n)
	send(a.t, a.client, mailtura.SendEmail{
		To: to(a.recipient(n)), Template: ptr("order"), Variables: &variables, Tags: &[]string{[]string{"even", "odd"}[n%2]},
	})
}

// killWorker kills it while messages are handed over and the webhook is called, and starts another.
func (a *acceptance) killWorker() {
	for what, reached := range map[string]chan struct{}{"hand-over": a.relay.shut, "call": a.called} {
		select {
		case <-reached:
		case <-time.After(30 * time.Second):
			require.Fail(a.t, "no "+what+" is under way")
		}
	}
	a.worker.Kill()
	close(a.killed)
	close(a.relay.opened)
	a.run()
}

// lookAtMails opens mails of the inbox and follows their links, as a person does: no sooner
// than two seconds after they were sent. Meanwhile the stream is broken off.
func (a *acceptance) lookAtMails() {
	var sent []mailtura.Event
	require.Eventually(a.t, func() bool {
		sent = a.tail.of("email.sent")
		return len(sent) >= looked && time.Since(sent[looked-1].Timestamp) > 2*time.Second
	}, 20*time.Second, 20*time.Millisecond)
	a.tail.breakOff()
	a.page.do("open the inbox", chromedp.Navigate(a.Inbox.URL()))
	for i, e := range sent[:looked] {
		var n int
		_, err := fmt.Sscanf(*e.Data.Recipient, "ada%d@", &n)
		require.NoError(a.t, err)
		a.page.do("open the mail", chromedp.Click(`//li[span[normalize-space()="`+*e.Data.Recipient+`"]]`), chromedp.WaitVisible(chromedp.CSS("#view iframe")))
		if i == 0 {
			require.Empty(a.t, a.page.loaded(0), "a person who wants no pictures tells nobody")
			a.page.do("show pictures", chromedp.Click(chromedp.CSS("#images")))
		}
		require.Contains(a.t, a.page.loaded(i + 1)[i], a.URL+"/t/o/")
		path := fmt.Sprint("/orders/", n)
		require.Equal(a.t, "This is "+path, a.page.follow(a.shop.URL+path))
	}
	a.tail.connect()
}
