// Package outcome says what an answer of a mail server means for a recipient, and when to
// try again. It decides by the codes of RFC 5321 §4.2 and RFC 3463, and where these leave
// it open by the phase of the conversation and the words that providers use.
package outcome

// Reply is an answer of a mail server. Code 0 means that there was none.
type Reply struct {
	Code     int
	Enhanced string // "5.1.1"; empty when the server gave none
	Text     string
}

// Phase is where the conversation stood.
type Phase string

// The phases of a conversation in their order.
const (
	Connect Phase = "connect"
	TLS     Phase = "tls"
	Ehlo    Phase = "ehlo"
	Auth    Phase = "auth"
	Mail    Phase = "mail"
	Rcpt    Phase = "rcpt"
	Data    Phase = "data"
	Body    Phase = "body" // the message was sent; the answer is to its final dot
	Quit    Phase = "quit"
)

// Verdict is what an attempt came to.
type Verdict string

// The verdicts. Failed is given where the attempt never came to a conversation because
// the message itself could not be made.
const (
	Accepted Verdict = "accepted"
	Deferred Verdict = "deferred"
	Bounced  Verdict = "bounced"
	Failed   Verdict = "failed"
	Unknown  Verdict = "unknown" // the message was sent and no answer came
)

// Category says why a recipient was deferred or bounced.
type Category string

// The categories.
const (
	None            Category = ""
	BadAddress      Category = "bad_address"
	BadDomain       Category = "bad_domain"
	MailboxFull     Category = "mailbox_full"
	MessageTooLarge Category = "message_too_large"
	Blocked         Category = "blocked"
	Spam            Category = "spam"
	Policy          Category = "policy"
	AuthFailed      Category = "auth"
	RateLimited     Category = "rate_limited"
	Greylisted      Category = "greylisted"
	Server          Category = "server"
	Network         Category = "network"
	Protocol        Category = "protocol"
	Other           Category = "other"
)

// Result is the meaning of an answer.
type Result struct {
	Verdict  Verdict
	Category Category
}
