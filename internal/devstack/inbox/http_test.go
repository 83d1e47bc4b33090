package inbox_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/devstack/inbox"
)

// directives reads a content security policy.
func directives(header http.Header) map[string]string {
	all := map[string]string{}
	for part := range strings.SplitSeq(header.Get("Content-Security-Policy"), ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), " ")
		all[name] = value
	}
	return all
}

func TestPage_LoadsFromHereOnly(t *testing.T) {
	t.Parallel()
	b := newBox(t, inbox.Config{})
	external := regexp.MustCompile(`(?i)(https?:)?//[a-z0-9]`)
	for _, path := range []string{"/", "/app.js", "/style.css"} {
		body, header := b.get(path, http.StatusOK)
		policy := directives(header)
		require.Equal(t, "'none'", policy["default-src"], path)
		require.Equal(t, "'self'", policy["script-src"], path)
		require.Equal(t, "'self'", policy["connect-src"], path)
		require.Equal(t, "'none'", policy["frame-ancestors"], path)
		require.Equal(t, "nosniff", header.Get("X-Content-Type-Options"), path)
		require.Equal(t, "no-referrer", header.Get("Referrer-Policy"), path)
		require.NotRegexp(t, external, body, path)
		for _, unsafe := range []string{"innerHTML", "outerHTML", "document.write", "insertAdjacentHTML", "eval(", "onclick=", "style="} {
			require.NotContains(t, body, unsafe, path)
		}
	}
	script, _ := b.get("/app.js", http.StatusOK)
	require.Contains(t, script, `sandbox = "allow-popups allow-popups-to-escape-sandbox"`, "the frame of a mail has no scripts and no origin")
}

func TestHTML_RunsNothing(t *testing.T) {
	t.Parallel()
	b := newBox(t, inbox.Config{})
	b.deliver(mixed, "ada@example.com")
	id := b.newest().ID
	html := "/api/v1/messages/" + id + "/html"
	for query, images := range map[string]string{"": "'self' data:", "?images=remote": "'self' data: https: http:", "?images=x": "'self' data:"} {
		body, header := b.get(html+query, http.StatusOK)
		require.Contains(t, body, "<script>alert(1)</script>", "it is shown as it is, and the policy disarms it")
		require.Contains(t, body, `<base target="_blank">`, "links open beside the frame, in which they may not")
		require.Contains(t, body, fmt.Sprintf(`<img src="/api/v1/messages/%s/attachments/1">`, id), "inline images are found")
		policy := directives(header)
		sandbox, there := policy["sandbox"]
		require.True(t, there)
		require.NotContains(t, sandbox, "allow-scripts")
		require.NotContains(t, sandbox, "allow-same-origin")
		require.NotContains(t, sandbox, "allow-forms")
		require.Equal(t, "'none'", policy["default-src"], "and so of scripts and connections")
		require.NotContains(t, policy, "script-src")
		require.Equal(t, "'none'", policy["form-action"])
		require.Equal(t, "'none'", policy["base-uri"])
		require.Equal(t, images, policy["img-src"], query)
		require.Equal(t, "no-referrer", header.Get("Referrer-Policy"))
	}
}

// A file of a mail is handed over as a file, unless it is an image that can hold no script.
func TestAttachment_RunsNothing(t *testing.T) {
	t.Parallel()
	b := newBox(t, inbox.Config{})
	for contentType, shown := range map[string]bool{
		"text/html": false, "image/svg+xml": false, "application/pdf": false, "text/xml": false, "image/png": true, "image/jpeg": true,
	} {
		b.deliver("Subject: x\r\nContent-Type: multipart/mixed; boundary=m\r\n\r\n--m\r\nContent-Type: "+contentType+
			"\r\nContent-Disposition: attachment; filename=\"a\\\"; b\"\r\n\r\n<script>alert(1)</script>\r\n--m--\r\n", "ada@example.com")
		_, header := b.get("/api/v1/messages/"+b.newest().ID+"/attachments/0", http.StatusOK)
		want := [2]string{"application/octet-stream", "attachment"}
		if shown {
			want = [2]string{contentType, "inline"}
		}
		disposition, _, _ := strings.Cut(header.Get("Content-Disposition"), ";")
		require.Equal(t, want, [2]string{header.Get("Content-Type"), disposition}, contentType)
		require.Equal(t, "nosniff", header.Get("X-Content-Type-Options"))
		require.Contains(t, directives(header), "sandbox")
	}
}

// A page on the internet can reach a server on this machine, by a name of its own (DNS
// rebinding) or across origins.
func TestAPI_RefusesOtherPages(t *testing.T) {
	t.Parallel()
	b := newBox(t, inbox.Config{})
	b.deliver(plain("secret"), "ada@example.com")
	messages := b.URL() + "/api/v1/messages"
	for host, want := range map[string]int{
		"evil.example": 421, "evil.example:8025": 421, "10.0.0.1": 421, "localhost": 200, "localhost:1": 200, "127.0.0.1": 200, "[::1]:8025": 200,
	} {
		status, _ := do(t, http.MethodGet, messages, func(r *http.Request) { r.Host = host })
		require.Equal(t, want, status, host)
	}
	for site, want := range map[string]int{"cross-site": 403, "same-site": 403, "same-origin": 204} {
		status, _ := do(t, http.MethodDelete, messages, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", site) })
		require.Equal(t, want, status, site)
		if status != http.StatusForbidden {
			require.Zero(t, b.list(nil).Total)
			b.deliver(plain("secret"), "ada@example.com")
		}
		require.Equal(t, 1, b.list(nil).Total, site)
	}
	_, header := do(t, http.MethodGet, messages, nil)
	require.Empty(t, header.Get("Access-Control-Allow-Origin"))
}
