package outcome_test

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/mail/outcome"
)

// TestClassify_Replies goes through the answers of testdata/replies.txt.
func TestClassify_Replies(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("testdata/replies.txt")
	require.NoError(t, err)
	rows := 0
	for i, line := range strings.Split(string(raw), "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		rows++
		c := strings.Split(line, "|")
		require.Len(t, c, 6, "line %d", i+1)
		for j := range c {
			c[j] = strings.TrimSpace(c[j])
		}
		code, err := strconv.Atoi(c[1])
		require.NoError(t, err, "line %d", i+1)
		got := outcome.Classify(outcome.Phase(c[0]), outcome.Reply{Code: code, Enhanced: c[2], Text: c[3]})
		want := outcome.Result{Verdict: outcome.Verdict(c[4]), Category: outcome.Category(c[5])}
		require.Equal(t, want, got, "line %d: %s", i+1, line)
	}
	require.Greater(t, rows, 120)
}

var phases = []outcome.Phase{
	outcome.Connect, outcome.TLS, outcome.Ehlo, outcome.Auth, outcome.Mail, outcome.Rcpt, outcome.Data, outcome.Body, outcome.Quit,
}

// What a code says by itself holds whatever the text is.
func TestClassify_Verdicts(t *testing.T) {
	t.Parallel()
	about := map[outcome.Phase]bool{outcome.Rcpt: true, outcome.Data: true, outcome.Body: true, outcome.Quit: true}
	for _, phase := range phases {
		for _, text := range []string{"", "greylisted", "blocked as spam", "user unknown", "250 OK", "authentication failed"} {
			of := func(code int) outcome.Result { return outcome.Classify(phase, outcome.Reply{Code: code, Text: text}) }
			for _, code := range []int{200, 220, 250, 251, 299} {
				require.Equal(t, outcome.Result{Verdict: outcome.Accepted}, of(code), "%s %d", phase, code)
			}
			for _, code := range []int{400, 421, 450, 451, 452, 499} {
				require.Equal(t, outcome.Deferred, of(code).Verdict, "%s %d", phase, code)
				require.NotEqual(t, outcome.None, of(code).Category, "%s %d", phase, code)
			}
			for _, code := range []int{500, 521, 550, 553, 554, 599} {
				want := outcome.Deferred
				if about[phase] {
					want = outcome.Bounced
				}
				require.Equal(t, want, of(code).Verdict, "%s %d", phase, code)
				require.NotEqual(t, outcome.None, of(code).Category, "%s %d", phase, code)
			}
			for _, code := range []int{1, 199, 354, 399, 600, 999, -1} {
				require.Equal(t, outcome.Result{Verdict: outcome.Deferred, Category: outcome.Protocol}, of(code), "%s %d", phase, code)
			}
			require.Equal(t, outcome.Result{Verdict: outcome.Deferred, Category: outcome.Network}, of(0), phase)
		}
	}
}

// A full mailbox may have room tomorrow, however permanent the server thinks it is.
func TestClassify_FullMailboxIsTriedAgain(t *testing.T) {
	t.Parallel()
	for _, phase := range phases {
		for _, r := range []outcome.Reply{
			{Code: 550, Enhanced: "5.2.2"}, {Code: 554, Text: "Mailbox full"}, {Code: 552}, {Code: 550, Text: "User is OVER QUOTA"},
		} {
			if phase == outcome.Auth { // whatever it says, it is the login that failed
				continue
			}
			require.Equal(t, outcome.Result{Verdict: outcome.Deferred, Category: outcome.MailboxFull}, outcome.Classify(phase, r), "%s %v", phase, r)
		}
	}
}

// An answer is a stranger's text: any gives a verdict, and never one that loses mail.
func FuzzClassify(f *testing.F) {
	f.Add(uint8(5), 550, "5.1.1", "User unknown")
	f.Add(uint8(0), 421, "4", "@ @@ \xff")
	f.Add(uint8(7), 554, "5..", "rbl'")
	f.Fuzz(func(t *testing.T, phase uint8, code int, enhanced, text string) {
		at := phases[int(phase)%len(phases)]
		got := outcome.Classify(at, outcome.Reply{Code: code, Enhanced: enhanced, Text: text})
		if (got.Verdict == outcome.Accepted) != (code/100 == 2) || (got.Verdict == outcome.Accepted) != (got.Category == outcome.None) {
			t.Fatalf("%s %d %q %q: %+v", at, code, enhanced, text, got)
		}
		if got.Verdict == outcome.Bounced && code/100 != 5 {
			t.Fatalf("%s %d %q %q bounces", at, code, enhanced, text)
		}
	})
}
