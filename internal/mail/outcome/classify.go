package outcome

import "strings"

// Classify says what an answer means.
//
//   - 2xx: accepted. 4xx, and 421 anywhere: deferred.
//   - 5xx before RCPT is about us (our address, our login, our sender), not about the
//     recipient: deferred, since an operator can mend it, and the mail must not be lost by
//     a wrong password.
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
		if beforeRecipient(phase) || category == MailboxFull {
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
	"1.1": BadAddress, "1.2": BadDomain, "1.3": BadAddress, "1.6": BadAddress, "1.10": BadDomain,
	"1.7": Policy, "1.8": Policy,
	"2.0": BadAddress, "2.1": BadAddress, "2.2": MailboxFull, "2.3": MessageTooLarge, "2.4": BadAddress,
	"3.1": Server, "3.2": Server, "3.4": MessageTooLarge,
	"4.1": Network, "4.2": Network, "4.3": Server, "4.4": BadDomain, "4.5": RateLimited, "4.7": Network,
	"7.8": AuthFailed, "7.20": Policy, "7.21": Policy, "7.22": Policy, "7.23": Policy, "7.24": Policy, "7.25": Policy,
	"7.26": Policy, "7.27": BadDomain, "7.28": RateLimited,
}

// words are looked for in order in the text of an answer, in lower case.
var words = []struct {
	text     string
	category Category
}{
	{"greylist", Greylisted},
	{"graylist", Greylisted},
	{"greylisted", Greylisted},
	{"try again in", Greylisted},
	{"over quota", MailboxFull},
	{"quota exceeded", MailboxFull},
	{"mailbox full", MailboxFull},
	{"mailbox is full", MailboxFull},
	{"out of storage", MailboxFull},
	{"insufficient storage", MailboxFull},
	{"exceeded storage", MailboxFull},
	{"inbox is full", MailboxFull},
	{"user unknown", BadAddress},
	{"unknown user", BadAddress},
	{"no such user", BadAddress},
	{"does not exist", BadAddress},
	{"no such recipient", BadAddress},
	{"recipient not found", BadAddress},
	{"address rejected", BadAddress},
	{"mailbox unavailable", BadAddress},
	{"mailbox not found", BadAddress},
	{"invalid recipient", BadAddress},
	{"no mailbox", BadAddress},
	{"unrouteable address", BadAddress},
	{"user not found", BadAddress},
	{"account is disabled", BadAddress},
	{"account has been disabled", BadAddress},
	{"recipient unknown", BadAddress},
	{"not our customer", BadAddress},
	{"domain not found", BadDomain},
	{"host unknown", BadDomain},
	{"relay access denied", BadDomain},
	{"relaying denied", BadDomain},
	{"not permitted to relay", BadDomain},
	{"unable to relay", BadDomain},
	{"message size exceeds", MessageTooLarge},
	{"too large", MessageTooLarge},
	{"too big", MessageTooLarge},
	{"rate limit", RateLimited},
	{"too many", RateLimited},
	{"throttl", RateLimited},
	{"unusual rate", RateLimited},
	{"receiving mail at a rate", RateLimited},
	{"exceeded the limit", RateLimited},
	{"try again later", RateLimited},
	{"spamhaus", Blocked},
	{"spamcop", Blocked},
	{"blocklist", Blocked},
	{"blacklist", Blocked},
	{"block list", Blocked},
	{"barracuda", Blocked},
	{"rbl", Blocked},
	{"dnsbl", Blocked},
	{"blocked", Blocked},
	{"banned", Blocked},
	{"poor reputation", Blocked},
	{"reputation", Blocked},
	{"listed", Blocked},
	{"spam", Spam},
	{"unsolicited", Spam},
	{"bulk mail", Spam},
	{"junk", Spam},
	{"content rejected", Spam},
	{"virus", Spam},
	{"authentication required", AuthFailed},
	{"authentication failed", AuthFailed},
	{"authentication credentials", AuthFailed},
	{"dmarc", Policy},
	{"spf", Policy},
	{"dkim", Policy},
	{"policy", Policy},
	{"not authorized", Policy},
	{"access denied", Policy},
	{"starttls", Policy},
	{"helo", Policy},
	{"ptr", Policy},
	{"reverse dns", Policy},
	{"timeout", Network},
	{"timed out", Network},
	{"connection", Network},
}

func categorize(phase Phase, r Reply) Category {
	if r.Code == 421 && phase != Connect {
		return Server
	}
	text := strings.ToLower(r.Text)
	fine := byEnhanced[detail(r.Enhanced)]
	// X.7.1 and X.7.0 are "policy" for anything from a block list to greylisting: the words tell.
	if fine != None && fine != Policy {
		return fine
	}
	for _, w := range words {
		if strings.Contains(text, w.text) {
			return w.category
		}
	}
	switch {
	case fine != None:
		return fine
	case strings.HasPrefix(detail(r.Enhanced), "7."):
		return Policy
	}
	return byCode(phase, r.Code)
}

// byCode is what the basic code says by itself (RFC 5321 §4.2.3).
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
	case 523:
		return MessageTooLarge
	case 530, 534, 535, 538, 454:
		return AuthFailed
	case 554:
		if phase == Connect {
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
