package tenant

import (
	"fmt"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // the same zones everywhere, also in an image without a zone database
	"unicode/utf8"

	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/mail/address"
	"github.com/mailtura/mailtura/internal/mail/compose"
	"github.com/mailtura/mailtura/internal/quota"
)

// Settings are what a tenant may choose. They are stored and shown with every
// default filled in (see WithDefaults), so that what holds can be read.
type Settings struct {
	FromEmail        string   `json:"fromEmail,omitempty" nullable:"true" doc:"Default sender address; must be on the tenant's domain or on a verified domain of the tenant" example:"noreply@acme.com" maxLength:"254"`
	FromName         string   `json:"fromName,omitempty" nullable:"true" doc:"Default sender name" example:"Acme Corporation" maxLength:"200"`
	ReplyTo          string   `json:"replyTo,omitempty" nullable:"true" doc:"Default Reply-To address" maxLength:"320"`
	DailyLimit       *int     `json:"dailyLimit" required:"false" doc:"Recipients per calendar day of the time zone; null = no limit" minimum:"0" maximum:"1000000000"`
	RateLimit        *int     `json:"rateLimit" required:"false" doc:"Recipients per rateLimitPer; mail over it waits its turn; null = no limit" minimum:"1" maximum:"1000000"`
	RateLimitPer     string   `json:"rateLimitPer,omitempty" nullable:"true" doc:"Unit of rateLimit; default minute" enum:"second,minute,hour"`
	Burst            *int     `json:"burst" required:"false" doc:"Over any window, attempts stay at or under rateLimit × window + burst; null = the number that rateLimit allows in one second, at least 2" minimum:"1" maximum:"1000000"`
	OverLimit        string   `json:"overLimit,omitempty" nullable:"true" doc:"What to do with mail over the daily limit: refuse it, or accept it and send it on the first day with room; default reject" enum:"reject,queue"`
	Timezone         string   `json:"timezone,omitempty" nullable:"true" doc:"IANA time zone in which the day of dailyLimit begins; default UTC" example:"Europe/Berlin" maxLength:"64"`
	OnUnknownOutcome string   `json:"onUnknownOutcome,omitempty" nullable:"true" doc:"What to do with a recipient whose hand-over was cut off before the answer: send again (may arrive twice) or hold; default resend" enum:"resend,hold"`
	Tracking         Tracking `json:"tracking" required:"false" doc:"What of the tenant's emails is tracked, where an email does not say"`
	Weight           *int     `json:"weight" required:"false" doc:"Share of the sending capacity against other tenants; null = 1" minimum:"1" maximum:"1000"`
}

// Tracking says whether opens and clicks of emails are recorded, and under which name.
type Tracking struct {
	Opens  bool   `json:"opens" required:"false" nullable:"true" doc:"Put a picture into HTML whose loading tells that an email was opened; default false"`
	Clicks bool   `json:"clicks" required:"false" nullable:"true" doc:"Have the links of HTML lead over Mailtura, which tells that they were followed; default false"`
	Domain string `json:"domain,omitempty" nullable:"true" doc:"Host name of the tenant's own under which links and picture are (https); it has to lead to this installation. Without it, the installation's public address" example:"click.acme.com" maxLength:"253"`
}

// The values of Settings.OnUnknownOutcome.
const (
	Resend = "resend"
	Hold   = "hold"
)

// The values of Settings.OverLimit.
const (
	Reject = "reject"
	Queue  = "queue"
)

// WithDefaults fills in what was not chosen.
func (s Settings) WithDefaults() Settings {
	if s.RateLimitPer == "" {
		s.RateLimitPer = "minute"
	}
	if s.OverLimit == "" {
		s.OverLimit = Reject
	}
	if s.Timezone == "" {
		s.Timezone = "UTC"
	}
	if s.OnUnknownOutcome == "" {
		s.OnUnknownOutcome = Resend
	}
	return s
}

// Location is the zone of the tenant's calendar day; UTC when it is not set.
func (s Settings) Location() *time.Location {
	loc, err := time.LoadLocation(s.Timezone)
	if err != nil {
		return time.UTC
	}
	return loc
}

// Rate is the throttle that rateLimit, rateLimitPer and burst make; the zero Rate when there is none.
func (s Settings) Rate() quota.Rate {
	if s.RateLimit == nil {
		return quota.Rate{}
	}
	per := map[string]time.Duration{"second": time.Second, "hour": time.Hour}[s.RateLimitPer]
	if per == 0 {
		per = time.Minute
	}
	rate := quota.Rate{Count: *s.RateLimit, Per: per}
	rate.Burst = rate.DefaultBurst()
	if s.Burst != nil {
		rate.Burst = *s.Burst
	}
	return rate
}

// FairShare is the weight of the tenant against others.
func (s Settings) FairShare() float32 {
	if s.Weight == nil {
		return 1
	}
	return float32(*s.Weight)
}

// Validate normalises t's domain and addresses and checks every value; the error
// has one field per fault, each under the name it has in the API ("body.settings.fromEmail").
// Beside its own domain the tenant may send from those that are verified.
func (t *Tenant) Validate(verified ...string) error {
	var c checks
	c.require("body.name", strings.TrimSpace(t.Name) != "" && utf8.RuneCountInString(t.Name) <= 200,
		"invalid_name", "a name has 1 to 200 characters")
	c.require("body.name", !strings.ContainsAny(t.Name, "\r\n\x00"), "header_injection", "a name has no line breaks")
	domain, err := address.ParseDomain(t.Domain)
	c.add("body.domain", err)
	if err == nil {
		t.Domain = domain
	}
	c.settings(t.Domain, verified, &t.Settings)
	if len(c) > 0 {
		return fault.InvalidFields(c...)
	}
	return nil
}

type checks []fault.Field

func (c *checks) require(location string, ok bool, code, message string) {
	if !ok {
		*c = append(*c, fault.Field{Location: location, Code: code, Message: message})
	}
}

func (c *checks) add(location string, err error) {
	if f, ok := fault.As(err); ok {
		*c = append(*c, fault.Field{Location: location, Code: f.Code, Message: f.Detail})
	}
}

func (c *checks) settings(domain string, verified []string, s *Settings) {
	if s.FromEmail != "" {
		from, err := address.Parse(s.FromEmail)
		c.add("body.settings.fromEmail", err)
		if err == nil {
			s.FromEmail = from.Addr
			c.require("body.settings.fromEmail", from.Domain() == domain || slices.Contains(verified, from.Domain()), "sender_domain_not_allowed",
				"the sender address must be on the tenant's domain "+domain+" or on a verified domain of the tenant")
		}
	}
	if code, message := compose.CheckLine(s.FromName); code != "" {
		c.require("body.settings.fromName", false, code, message)
	}
	if s.ReplyTo != "" {
		_, err := address.Parse(s.ReplyTo)
		c.add("body.settings.replyTo", err)
	}
	if s.Timezone != "" {
		_, err := time.LoadLocation(s.Timezone)
		c.require("body.settings.timezone", err == nil && s.Timezone != "Local", "invalid_timezone", "not an IANA time zone name")
	}
	if s.Tracking.Domain != "" {
		host, err := address.ParseDomain(s.Tracking.Domain)
		c.add("body.settings.tracking.domain", err)
		if err == nil {
			s.Tracking.Domain = host
		}
	}
	c.oneOf("body.settings.rateLimitPer", s.RateLimitPer, "second", "minute", "hour")
	c.oneOf("body.settings.overLimit", s.OverLimit, Reject, Queue)
	c.oneOf("body.settings.onUnknownOutcome", s.OnUnknownOutcome, Resend, Hold)
	c.within("body.settings.dailyLimit", s.DailyLimit, 0, 1_000_000_000)
	c.within("body.settings.rateLimit", s.RateLimit, 1, 1_000_000)
	c.within("body.settings.burst", s.Burst, 1, 1_000_000)
	c.within("body.settings.weight", s.Weight, 1, 1000)
}

func (c *checks) within(location string, n *int, least, most int) {
	c.require(location, n == nil || *n >= least && *n <= most, "out_of_range", fmt.Sprintf("must be %d to %d", least, most))
}

func (c *checks) oneOf(location, value string, allowed ...string) {
	c.require(location, value == "" || slices.Contains(allowed, value), "invalid_value", "must be one of "+strings.Join(allowed, ", "))
}
