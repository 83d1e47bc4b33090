package track_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/track"
)

func TestAutomated_ByAgent(t *testing.T) {
	t.Parallel()
	const phone = "Mozilla/5.0 (Linux; Android 14; CUBOT X70) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 Mobile Safari/537.36"
	for agent, want := range map[string]track.Cause{
		"Mozilla/5.0": track.Prefetch, // Apple
		"Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)":                             "",
		"YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html":                                              "",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.1 Safari/605.1.15": "",
		"Mozilla/5.0 (Windows NT 10.0; Microsoft Outlook 16.0.12026; Pro)":                                                      "",
		phone:                      "",
		"":                         track.Scanner,
		"BarracudaLinkProtect/1.0": track.Scanner,
		"Mimecast URL Scan":        track.Scanner,
		"ProofPoint/URLDefense":    track.Scanner,
		"Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)": track.Scanner,
		"Mozilla/5.0 (X11; Linux x86_64) HeadlessChrome/120.0":                    track.Scanner,
		"curl/8.5.0":                          track.Scanner,
		"Go-http-client/2.0":                  track.Scanner,
		"Microsoft Office Protocol Discovery": track.Scanner,
	} {
		require.Equal(t, want, track.Automated(track.Hit{UserAgent: agent, At: time.Now()}, track.Facts{}), agent)
	}
	require.Equal(t, track.Prefetch, track.Automated(track.Hit{UserAgent: phone, Prefetch: true}, track.Facts{}))
}

func TestAutomated_ByTime(t *testing.T) {
	t.Parallel()
	sent := time.Now()
	hit := func(kind track.Kind, link int, after time.Duration) track.Hit {
		return track.Hit{Token: track.Token{Kind: kind, Link: link}, UserAgent: "Thunderbird", At: sent.Add(after)}
	}
	clicked := track.Facts{SentAt: sent, LastAt: sent.Add(time.Minute), LastLink: 1}
	for _, c := range []struct {
		hit   track.Hit
		facts track.Facts
		want  track.Cause
	}{
		{hit(track.Open, 0, time.Second), track.Facts{SentAt: sent}, track.Timing},
		{hit(track.Click, 0, time.Second), track.Facts{SentAt: sent}, track.Timing},
		{hit(track.Click, 0, -time.Second), track.Facts{SentAt: sent}, track.Timing},
		{hit(track.Open, 0, 2*time.Second), track.Facts{SentAt: sent}, ""},
		{hit(track.Open, 0, time.Second), track.Facts{}, ""},
		{hit(track.Click, 2, time.Minute+999*time.Millisecond), clicked, track.Burst},
		{hit(track.Click, 2, time.Minute+time.Second), clicked, ""},
		{hit(track.Click, 1, time.Minute+time.Millisecond), clicked, ""}, // the same again: a reload
		{hit(track.Open, 2, time.Minute+time.Millisecond), clicked, ""},
	} {
		require.Equal(t, c.want, track.Automated(c.hit, c.facts), "%v %v", c.hit.Kind, c.hit.At.Sub(sent))
	}
}

func TestAgent(t *testing.T) {
	t.Parallel()
	require.Equal(t, "a b", track.Agent(" a\x00\r\n b\xff "))
	require.Equal(t, strings.Repeat("x", 200), track.Agent(strings.Repeat("x", 999)))
	require.Equal(t, strings.Repeat("ü", 100), track.Agent(strings.Repeat("ü", 150)))
	require.Equal(t, "x"+strings.Repeat("ü", 99), track.Agent("x"+strings.Repeat("ü", 150)), "no half of a character")
}
