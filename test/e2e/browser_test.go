package e2e

import (
	"context"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// person is what the browser calls itself. Its own name has "Headless" in it, which is taken
// for a machine's.
const person = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/148.0.0.0 Safari/537.36"

// browser is a page in a headless Chromium with a profile of its own.
type browser struct {
	t   *testing.T
	ctx context.Context //nolint:containedctx // chromedp keeps the page in it

	mu         sync.Mutex
	complaints []string        // errors in the console
	hosts      map[string]bool // that were asked for something
	pictures   []string        // that were loaded over the network
}

func newBrowser(t *testing.T) *browser {
	t.Helper()
	b := &browser{t: t, hosts: map[string]bool{}}
	ctx, stop := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.NoSandbox, // root has none, and it sees our own pages only
		chromedp.UserDataDir(t.TempDir()), chromedp.UserAgent(person), chromedp.WindowSize(1300, 800),
		// The frame of a mail would be another process's, which chromedp does not look into.
		chromedp.Flag("disable-features", "Translate,BlinkGenPropertyTrees,IsolateSandboxedIframes"))...)
	t.Cleanup(stop)
	ctx, enough := context.WithTimeout(ctx, time.Minute)
	t.Cleanup(enough)
	b.ctx, stop = chromedp.NewContext(ctx, chromedp.WithListener(b.note))
	t.Cleanup(stop)
	require.NoError(t, chromedp.Do(b.ctx), "Chromium does not start: `scripts/setup.sh chromium` sees to it that it is there")
	return b
}

func (b *browser) note(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		b.complaints = append(b.complaints, e.ExceptionDetails.Text)
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError {
			b.complaints = append(b.complaints, "console.error")
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError {
			b.complaints = append(b.complaints, e.Entry.Text)
		}
	case *network.EventRequestWillBeSent:
		if u, err := url.Parse(e.Request.URL); err == nil && u.Host != "" {
			b.hosts[u.Host] = true
		}
	case *network.EventResponseReceived:
		if e.Type == network.ResourceTypeImage && e.Response.Status == 200 && strings.HasPrefix(e.Response.URL, "http") {
			b.pictures = append(b.pictures, e.Response.URL)
		}
	}
}

func (b *browser) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	require.NoError(b.t, chromedp.Do(b.ctx, steps...), what)
}

// loaded gives the pictures that were loaded, once there are so many.
func (b *browser) loaded(count int) (pictures []string) {
	b.t.Helper()
	require.Eventually(b.t, func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		pictures = append([]string{}, b.pictures...)
		return len(pictures) >= count
	}, 20*time.Second, 20*time.Millisecond)
	return pictures
}

// follow clicks the link of a mail that is shown, and gives the text of the page that opens beside it.
func (b *browser) follow(address string) (text string) {
	b.t.Helper()
	opened := chromedp.WaitNewTarget(b.ctx, func(i *target.Info) bool { return i.URL == address })
	frame, err := chromedp.Run(b.ctx, chromedp.Nodes(chromedp.CSS("#view iframe")))
	require.NoError(b.t, err)
	b.do("click the link", chromedp.Click(chromedp.CSS("a"), chromedp.FromNode(frame[0]), chromedp.NodeVisible))
	select {
	case id := <-opened:
		page, done := chromedp.NewContext(b.ctx, chromedp.WithTargetID(id))
		defer done()
		text, err = chromedp.Run(page, chromedp.Text(chromedp.CSS("body")))
		require.NoError(b.t, err)
	case <-b.ctx.Done():
		require.Fail(b.t, "the link opens no page", address)
	}
	return text
}
