package smtpout_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/smtpout"
)

func TestParseURL(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]smtpout.Config{
		"smtp://mail.example.com":                        {Host: "mail.example.com", Port: 25, Security: smtpout.Opportunistic},
		"smtp://mail.example.com:587/":                   {Host: "mail.example.com", Port: 587, Security: smtpout.Opportunistic},
		"smtps://mail.example.com":                       {Host: "mail.example.com", Port: 465, Security: smtpout.TLS},
		"smtps://mail.example.com:10465":                 {Host: "mail.example.com", Port: 10465, Security: smtpout.TLS},
		"smtp://[::1]:2525":                              {Host: "::1", Port: 2525, Security: smtpout.Opportunistic},
		"smtp://u@h":                                     {Host: "h", Port: 25, Security: smtpout.Opportunistic, Username: "u"},
		"smtps://api%40acme:p%3Aa%2F%23%3F%40ss@h":       {Host: "h", Port: 465, Security: smtpout.TLS, Username: "api@acme", Password: "p:a/#?@ss"},
		"smtp://h?security=none":                         {Host: "h", Port: 25, Security: smtpout.None},
		"smtp://h:587?security=starttls":                 {Host: "h", Port: 587, Security: smtpout.StartTLS},
		"smtp://h?helo=out.acme.com&maxConns=4":          {Host: "h", Port: 25, Security: smtpout.Opportunistic, HELO: "out.acme.com", MaxConns: 4},
		"smtp://h?security=tls&security=none&maxConns=1": {Host: "h", Port: 25, Security: smtpout.TLS, MaxConns: 1},
	} {
		got, err := smtpout.ParseURL(in)
		require.NoError(t, err, in)
		require.Equal(t, want, got, in)
	}
}

func TestParseURL_SaysWhatIsWrongButNotThePassword(t *testing.T) {
	t.Parallel()
	const secret = "s3cret"
	for in, want := range map[string]string{
		"":                                "scheme",
		"mail.example.com:25":             "scheme",
		"http://u:s3cret@h":               `"http"`,
		"smtp://":                         "no host",
		"smtp://u:s3cret@":                "no host",
		"smtp://u:s3cret@h:0":             "from 1 to 65535",
		"smtp://u:s3cret@h:65536":         "from 1 to 65535",
		"smtp://u:s3cret@h:smtp":          "not a URL",
		"smtp://u:s3cret@h/inbox":         "path",
		"smtp://u:s3cret@h?security=ssl":  `"ssl"`,
		"smtp://u:s3cret@h?maxConns=0":    "maxConns",
		"smtp://u:s3cret@h?maxConns=many": "maxConns",
		"smtp://u:s3cret@h?tls=yes":       `"tls"`,
		"smtp://u:s3cret%zz@h":            "not a URL",
		"smtp://u:s3cret\x00@h":           "not a URL",
		"smtp://u:1#s3cret@h":             "%23",
		"smtp://u:1?s3cret@h":             "%3F",
		"smtp://u:1/s3cret@h":             "%2F",
		"smtp://u:1@s3cret#2@h":           "%40",
		"smtp://u:#s3cret@h":              "%23",
		"smtp://u:[s3cret@h":              "not a URL",
	} {
		_, err := smtpout.ParseURL(in)
		require.ErrorContains(t, err, want, in)
		require.NotContains(t, err.Error(), secret, in)
	}
}

func TestConfig_StringHasNoPassword(t *testing.T) {
	t.Parallel()
	cfg, err := smtpout.ParseURL("smtps://u:s3cret@mail.example.com")
	require.NoError(t, err)
	require.Equal(t, "mail.example.com:465 (tls)", cfg.String())
}

func FuzzParseURL(f *testing.F) {
	for _, s := range []string{"smtp://u:p@h:25?security=none", "smtps://[::1]", "smtp://h?maxConns=2&helo=a", "smtp://u:1#x@h", "smtp:h", "//h"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		cfg, err := smtpout.ParseURL(s)
		if err != nil {
			return
		}
		if cfg.Host == "" || cfg.Port < 1 || cfg.Port > 65535 || cfg.MaxConns < 0 {
			t.Fatalf("%q is read as %v", s, cfg)
		}
		if strings.Contains(s, "@") && cfg.Username == "" && cfg.Password == "" && !strings.Contains(s, "//@") && !strings.Contains(s, "//:@") {
			t.Fatalf("%q is read as a server without a login", s)
		}
	})
}
