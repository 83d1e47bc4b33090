package apiserver

import (
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/hits"
	"github.com/mailtura/mailtura/internal/tenant"
	"github.com/mailtura/mailtura/internal/track"
)

// trackPath is below which links and pictures are; nobody there has a key, and none of their
// tokens belongs into a log or a trace.
const trackPath = "/t/"

// Tracking is what the endpoints of links and pictures need.
type Tracking struct {
	Base string         // public address of the installation; empty: only tenants with a domain of their own can track
	Keys track.Keys     // that tokens are signed with
	Hits *hits.Recorder // nil: nothing is recorded
}

// pixel is a GIF of one transparent pixel.
const pixel = "GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\x00\x00\x00" +
	"\x21\xf9\x04\x01\x00\x00\x00\x00\x2c\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02\x44\x01\x00\x3b"

// registerTracking has a router of its own: what every request of the API goes through takes
// longer than a hit itself, and has nothing to do for it.
func (s *Server) registerTracking() {
	s.tracked.Use(s.hurry, s.recoverPanics)
	s.tracked.NotFound(s.identify(http.HandlerFunc(s.notFound)).ServeHTTP)
	s.tracked.MethodNotAllowed(s.identify(http.HandlerFunc(s.methodNotAllowed)).ServeHTTP)
	for path, serve := range map[string]http.HandlerFunc{"o/{token}": s.opened, "c/{token}": s.clicked} {
		s.tracked.Get(trackPath+path, serve)
		s.tracked.Head(trackPath+path, serve)
	}
}

// opened gives the picture. Of an email that is not there any more it is not there either.
func (s *Server) opened(w http.ResponseWriter, r *http.Request) {
	text, isGIF := strings.CutSuffix(chi.URLParam(r, "token"), ".gif")
	hit, ok := s.hit(r, text, track.Open)
	if !isGIF || !ok || s.record(r, hit) == hits.Gone {
		noHit(w)
		return
	}
	header := private(w)
	header.Set("Content-Type", "image/gif")
	header.Set("Content-Length", "43")
	if r.Method == http.MethodGet {
		_, _ = w.Write([]byte(pixel)) // the client is gone if this fails
	}
}

// clicked leads to where the link led, which the token says: also when the email is not
// there any more, and whether or not the click could be recorded.
func (s *Server) clicked(w http.ResponseWriter, r *http.Request) {
	hit, ok := s.hit(r, chi.URLParam(r, "token"), track.Click)
	if !ok {
		noHit(w)
		return
	}
	s.record(r, hit)
	private(w).Set("Location", track.Location(hit.URL))
	w.WriteHeader(http.StatusFound)
}

func private(w http.ResponseWriter) http.Header {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Robots-Tag", "noindex, nofollow")
	h.Set("X-Content-Type-Options", "nosniff")
	return h
}

func noHit(w http.ResponseWriter) {
	private(w)
	http.Error(w, "There is nothing here.", http.StatusNotFound)
}

// hit reads a token. ok: a tenant that is there has signed it, and the request came to where
// it belongs. What nobody has signed does not reach the database.
func (s *Server) hit(r *http.Request, text string, kind track.Kind) (track.Hit, bool) {
	token, ok := s.Tracking.Keys.Verify(text)
	if !ok || token.Kind != kind {
		return track.Hit{}, false
	}
	t, err := s.known.tenant(r.Context(), token.TenantID)
	switch {
	case fault.KindOf(err) == fault.Unavailable: // then the token has to do: readers are not to wait for our database
	case err != nil, t.Status == tenant.Deleting, track.Generation(t.CreatedAt) != token.Generation, !s.at(r, t):
		return track.Hit{}, false
	}
	purpose := r.Header.Get("Sec-Purpose") + r.Header.Get("Purpose") + r.Header.Get("X-Purpose") + r.Header.Get("X-Moz")
	return track.Hit{
		Token: token, At: time.Now().Truncate(time.Microsecond), UserAgent: track.Agent(r.UserAgent()), Prefetch: purpose != "",
	}, true
}

// at says whether links of a tenant are there at the host of a request: not at one that
// another tenant has as its own.
func (s *Server) at(r *http.Request, t tenant.Tenant) bool {
	host := hostname(r.Host)
	if host == t.Settings.Tracking.Domain || host == s.publicHost {
		return true
	}
	owner, err := s.Store.TrackingHost(r.Context(), host)
	return err == nil && (owner == "" || owner == t.ID)
}

func hostname(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.TrimSuffix(strings.ToLower(host), ".")
}

func hostOf(base string) string {
	u, err := url.Parse(base)
	if err != nil {
		return ""
	}
	return strings.ToLower(u.Hostname())
}

// record records what is more than a look at the headers.
func (s *Server) record(r *http.Request, hit track.Hit) hits.Outcome {
	if r.Method != http.MethodGet || s.Tracking.Hits == nil {
		return hits.Waiting
	}
	return s.Tracking.Hits.Record(hit)
}

// EmailTracking is what of an email is tracked; what it does not say is as the tenant's
// settings have it.
type EmailTracking struct {
	Opens  *bool `json:"opens,omitempty" doc:"Put a picture into the HTML whose loading tells that the email was opened; the tenant's setting when it is absent"`
	Clicks *bool `json:"clicks,omitempty" doc:"Have the links of the HTML lead over Mailtura, which tells that they were followed; the tenant's setting when it is absent"`
}

// tracking settles what of the email is tracked, and where its links will be.
func (c *compiler) tracking(public string) {
	settings := c.tenant.Settings.Tracking
	choice := track.Choice{Opens: settings.Opens, Clicks: settings.Clicks, Base: trackingBase(settings, public)}
	if in := c.in.Tracking; in != nil {
		if in.Opens != nil {
			choice.Opens = *in.Opens
		}
		if in.Clicks != nil {
			choice.Clicks = *in.Clicks
		}
		if choice.Base == "" && (in.Opens != nil && *in.Opens || in.Clicks != nil && *in.Clicks) {
			c.wrong("body.tracking", "tracking_unavailable", noBase)
		}
	}
	if choice.Base != "" && (choice.Opens || choice.Clicks) {
		c.out.Content.Tracking = &choice
	}
}

const noBase = "the installation has no public address (--public-url), and the tenant no tracking.domain"

func trackingBase(t tenant.Tracking, public string) string {
	if t.Domain != "" {
		return "https://" + t.Domain
	}
	return public
}

// checkTracking refuses settings under which nothing could be tracked, or under whose name
// others would be.
func (s *Server) checkTracking(t tenant.Tenant) error {
	set := t.Settings.Tracking
	switch {
	case (set.Opens || set.Clicks) && trackingBase(set, s.Tracking.Base) == "":
		return fault.InvalidFields(fault.Field{Location: "body.settings.tracking", Code: "tracking_unavailable", Message: noBase})
	case set.Domain != "" && set.Domain == s.publicHost:
		return fault.InvalidFields(fault.Field{
			Location: "body.settings.tracking.domain", Code: "invalid_value", Message: "is the installation's public address, for all tenants",
		})
	}
	return nil
}
