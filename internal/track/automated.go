package track

import (
	"slices"
	"strings"
	"time"
)

// Cause is why a hit is taken for that of a machine; empty: it is taken for a person's.
type Cause string

// The causes.
const (
	Prefetch Cause = "prefetch" // a mail program that loads pictures whether or not somebody looks
	Scanner  Cause = "scanner"  // a program that says so, or that is known to look for danger
	Timing   Cause = "timing"   // sooner after the mail was sent than a person can be
	Burst    Cause = "burst"    // one link after the other within a second
)

const (
	tooSoon = 2 * time.Second // after the mail was handed over
	burst   = time.Second     // between clicks on different links
	agent   = 200             // bytes that are kept of a user agent
)

// Facts are what is known of the recipient of a hit.
type Facts struct {
	SentAt   time.Time // when the mail was handed over; zero: it is not known
	LastAt   time.Time // of the click before; zero: there was none
	LastLink int
}

// people are mail services that load a picture when somebody looks at it, though what they
// call themselves looks like a machine.
var people = []string{"googleimageproxy", "yahoomailproxy", "cubot"} // the last makes telephones

// scanners are words of the user agents of machines, in lower case.
var scanners = []string{
	// guards of mailboxes that follow links
	"barracuda", "mimecast", "proofpoint", "urldefense", "forcepoint", "symantec", "messagelabs", "trendmicro", "trend micro", "fireeye",
	"ironport", "zscaler", "sophos", "bitdefender", "kaspersky", "safelinks", "microsoft office protocol discovery",
	"ms office existence discovery", "bingpreview", "office365 link", "cloudmark", "vadesecure",
	// programs that show what is behind a link
	"facebookexternalhit", "skypeuripreview", "whatsapp/", "linkpreview", "embedly", "slack-imgproxy",
	// programs without a person
	"bot", "crawler", "spider", "headlesschrome", "phantomjs", "curl/", "wget/", "python-", "go-http-client", "java/", "libwww",
	"okhttp", "axios/", "node-fetch", "ruby", "scrapy", "httpclient",
}

// Automated says why a hit is taken for a machine's.
func Automated(h Hit, f Facts) Cause {
	if cause := byAgent(h); cause != "" {
		return cause
	}
	switch {
	case !f.SentAt.IsZero() && h.At.Before(f.SentAt.Add(tooSoon)):
		return Timing
	case h.Kind == Click && !f.LastAt.IsZero() && h.Link != f.LastLink && h.At.Sub(f.LastAt).Abs() < burst:
		return Burst
	}
	return ""
}

func byAgent(h Hit) Cause {
	lower := strings.ToLower(h.UserAgent)
	has := func(word string) bool { return strings.Contains(lower, word) }
	switch {
	case h.Prefetch, lower == "mozilla/5.0": // Apple's Mail Privacy Protection says no more than that
		return Prefetch
	case slices.ContainsFunc(people, has):
		return ""
	case lower == "", slices.ContainsFunc(scanners, has):
		return Scanner
	}
	return ""
}

// Agent is what is kept of a user agent.
func Agent(header string) string {
	clean := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, strings.ToValidUTF8(header, ""))
	if len(clean) > agent {
		clean = strings.ToValidUTF8(clean[:agent], "")
	}
	return strings.TrimSpace(clean)
}
