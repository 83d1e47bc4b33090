package outcome

import (
	"regexp"
	"strings"
)

// Classify says what an answer means.
//
//   - 2xx: accepted. 4xx, and 421 anywhere: deferred.
//   - 5xx before RCPT is about us (our address, our login, our sender), not about the
//     recipient: deferred, since an operator can mend it, and the mail must not be lost by
//     a wrong password. A message that is too large, or needs SMTPUTF8 (RFC 6531), is refused
//     at MAIL for good.
//   - 5xx from RCPT on: bounced, except a full mailbox (X.2.2), which may have room tomorrow.
func Classify(phase Phase, r Reply) Result {
	category := categorize(phase, r)
	switch {
	case r.Code == 0:
		return Result{Deferred, Network}
	case r.Code >= 200 && r.Code < 300:
		return Result{Accepted, None}
	case r.Code == 421 || (r.Code >= 400 && r.Code < 500):
		return Result{Deferred, category}
	case r.Code >= 500 && r.Code < 600:
		ofMessage := phase == Mail && (category == MessageTooLarge || detail(r.Enhanced) == "6.7")
		if (beforeRecipient(phase) && !ofMessage) || category == MailboxFull {
			return Result{Deferred, category}
		}
		return Result{Bounced, category}
	}
	return Result{Deferred, Protocol} // a code that SMTP does not have
}

func beforeRecipient(p Phase) bool {
	switch p {
	case Connect, TLS, Ehlo, Auth, Mail:
		return true
	case Rcpt, Data, Body, Quit:
	}
	return false
}

// detail is subject and detail of an enhanced code, "X.1.1" of "5.1.1".
func detail(enhanced string) string {
	if _, rest, ok := strings.Cut(enhanced, "."); ok {
		return rest
	}
	return ""
}

// byEnhanced gives categories by subject and detail (RFC 3463 §3, RFC 7372, RFC 7505).
var byEnhanced = map[string]Category{
	"1.1": BadAddress, "1.2": BadDomain, "1.3": BadAddress, "1.6": BadAddress, "1.7": Policy, "1.8": Policy,
	"2.2": MailboxFull, "2.3": MessageTooLarge, "2.4": BadAddress,
	"3.1": Server, "3.4": MessageTooLarge, "3.5": Server,
	"4.2": Network, "4.3": Server, "4.4": BadDomain, "4.5": RateLimited, "4.6": Server, "4.7": Network,
	"5.3": RateLimited, // too many recipients
	"7.8": AuthFailed, "7.20": Policy, "7.21": Policy, "7.22": Policy, "7.23": Policy, "7.24": Policy, "7.25": Policy,
	"7.26": Policy, "7.27": BadDomain, "7.28": RateLimited,
}

// byVagueCode gives them by codes that servers use for much else, so that the words of an answer
// count for more: greylisting comes as 4.2.0, a user that Exchange does not know as 5.4.1 and 5.1.10.
var byVagueCode = map[string]Category{
	"1.10": BadDomain, "2.0": BadAddress, "2.1": BadAddress, "3.0": Server, "3.2": Server, "4.1": Network,
}

func categorize(phase Phase, r Reply) Category {
	code := detail(r.Enhanced)
	if category, ok := byEnhanced[code]; ok {
		return category
	}
	if phase == Auth && r.Code >= 500 {
		return AuthFailed
	}
	if category := byWords(r.Text); category != None {
		return category
	}
	if category, ok := byVagueCode[code]; ok {
		return category
	}
	if category := byCode(phase, r.Code); category == AuthFailed {
		return category
	}
	// What is left of X.5, X.6 and X.7 are the dialogue, the content and the policy: RFC 3463 §3.6 to §3.8.
	switch subject, _, _ := strings.Cut(code, "."); subject {
	case "5", "6":
		return Protocol
	case "7":
		return Policy
	}
	return byCode(phase, r.Code)
}

// addresses are left out of what is read: spam@blocked.example is no verdict.
var addresses = regexp.MustCompile(`[^\s<("']+@[^\s>)"':,;]+`)

// byWords finds the first of words in an answer. A word counts only from its beginning.
func byWords(text string) Category {
	text = addresses.ReplaceAllString(strings.ToLower(text), " ")
	text = " " + strings.Join(strings.FieldsFunc(text, notOfWord), " ")
	for _, w := range words {
		if strings.Contains(text, " "+w.text) {
			return w.category
		}
	}
	return None
}

func notOfWord(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '\'' }

// byCode is what the basic code says by itself (RFC 5321 §4.2.3, RFC 7504).
func byCode(phase Phase, code int) Category {
	switch code {
	case 450:
		return Greylisted
	case 452, 552:
		return MailboxFull
	case 550, 551, 553:
		if phase == Rcpt {
			return BadAddress
		}
		return Policy
	case 521, 556:
		return BadDomain
	case 523:
		return MessageTooLarge
	case 454:
		if phase == TLS { // RFC 3207 §4
			return Server
		}
		return AuthFailed
	case 530, 534, 535, 538:
		return AuthFailed
	case 554:
		if phase == Connect || phase == Ehlo { // go-smtp reads the greeting with the first command
			return Blocked
		}
		return Policy
	case 500, 501, 502, 503, 504, 555:
		return Protocol
	case 451, 421:
		return Server
	}
	return Other
}
