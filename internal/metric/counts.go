// Package metric counts what happens to a tenant's emails: by quarters of an hour, which make
// up the days of every time zone, by hours of UTC, and by days; all together, and by template,
// tag and domain of the recipient.
//
// Each event counts once, in the interval in which it happened, whenever its email was
// accepted. The unique ones of opened and clicked are the first of a recipient in the order of
// the log that no program has made.
package metric

import "github.com/mailtura/mailtura/internal/event"

// Counts are numbers of events, each of one recipient.
type Counts struct {
	Accepted         int64 `json:"accepted" doc:"Recipients of emails that were accepted"`
	Sent             int64 `json:"sent" doc:"Handed to a mail server that relays"`
	Delivered        int64 `json:"delivered" doc:"Taken by the recipient's own mail server, or confirmed by it"`
	Deferred         int64 `json:"deferred" doc:"Attempts that were refused for now; a recipient may have several"`
	Bounced          int64 `json:"bounced" doc:"Refused for good"`
	Failed           int64 `json:"failed" doc:"Given up"`
	Complained       int64 `json:"complained" doc:"Reported as unwanted by the recipient"`
	Opened           int64 `json:"opened" doc:"Opens by people, also repeated ones"`
	UniqueOpened     int64 `json:"uniqueOpened" doc:"Recipients that opened for the first time"`
	AutomatedOpened  int64 `json:"automatedOpened" doc:"Opens by programs, which are not in opened"`
	Clicked          int64 `json:"clicked" doc:"Clicks by people, also repeated ones"`
	UniqueClicked    int64 `json:"uniqueClicked" doc:"Recipients that clicked for the first time"`
	AutomatedClicked int64 `json:"automatedClicked" doc:"Clicks by programs, which are not in clicked"`
	Unsubscribed     int64 `json:"unsubscribed" doc:"Unsubscribed by the recipient"`
	Suppressed       int64 `json:"suppressed" doc:"Not sent, since the address is suppressed"`
	Expired          int64 `json:"expired" doc:"Not sent in time"`
	Cancelled        int64 `json:"cancelled" doc:"Taken back before they were sent"`
	Unknown          int64 `json:"unknown" doc:"Attempts that were cut off before their outcome was known"`
}

// All are the counters, in their order.
func (c *Counts) All() [18]*int64 {
	return [...]*int64{
		&c.Accepted, &c.Sent, &c.Delivered, &c.Deferred, &c.Bounced, &c.Failed, &c.Complained,
		&c.Opened, &c.UniqueOpened, &c.AutomatedOpened, &c.Clicked, &c.UniqueClicked, &c.AutomatedClicked,
		&c.Unsubscribed, &c.Suppressed, &c.Expired, &c.Cancelled, &c.Unknown,
	}
}

// Add adds other to c.
func (c *Counts) Add(other Counts) {
	theirs := other.All()
	for i, n := range c.All() {
		*n += *theirs[i]
	}
}

// Total is the sum of all counters, by which groups are ranked.
func (c *Counts) Total() (sum int64) {
	for _, n := range c.All() {
		sum += *n
	}
	return sum
}

// counter is what an event of a type that is no open or click adds to; nil: it is not counted.
func (c *Counts) counter(t event.Type) *int64 {
	switch t {
	case "email.accepted":
		return &c.Accepted
	case "email.sent":
		return &c.Sent
	case "email.delivered":
		return &c.Delivered
	case "email.deferred":
		return &c.Deferred
	case "email.bounced":
		return &c.Bounced
	case "email.failed":
		return &c.Failed
	case "email.complained":
		return &c.Complained
	case "email.unsubscribed":
		return &c.Unsubscribed
	case "email.suppressed":
		return &c.Suppressed
	case "email.expired":
		return &c.Expired
	case "email.cancelled":
		return &c.Cancelled
	case "email.unknown":
		return &c.Unknown
	default:
		return nil
	}
}

// count adds an event; ok is false when events of its type are not counted.
func (c *Counts) count(f Fact) (ok bool) {
	switch f.Type {
	case Opened:
		interact(f, &c.Opened, &c.UniqueOpened, &c.AutomatedOpened)
		return true
	case Clicked:
		interact(f, &c.Clicked, &c.UniqueClicked, &c.AutomatedClicked)
		return true
	default:
		n := c.counter(f.Type)
		if n != nil {
			*n++
		}
		return n != nil
	}
}

func interact(f Fact, all, unique, automated *int64) {
	if f.Automated {
		*automated++
		return
	}
	*all++
	if f.First {
		*unique++
	}
}

// Rates are shares of 0 to 1; nil where there is nothing to have a share of.
type Rates struct {
	Delivery    *float64 `json:"deliveryRate" doc:"reached / (reached + bounced + failed + expired), where reached is the greater of sent and delivered"`
	Bounce      *float64 `json:"bounceRate" doc:"bounced / (reached + bounced)"`
	Complaint   *float64 `json:"complaintRate" doc:"complained / reached"`
	Open        *float64 `json:"openRate" doc:"uniqueOpened / reached"`
	Click       *float64 `json:"clickRate" doc:"uniqueClicked / reached"`
	ClickToOpen *float64 `json:"clickToOpenRate" doc:"uniqueClicked / uniqueOpened"`
	Unsubscribe *float64 `json:"unsubscribeRate" doc:"unsubscribed / reached"`
}

// All are the rates, in their order.
func (r Rates) All() [7]*float64 {
	return [...]*float64{r.Delivery, r.Bounce, r.Complaint, r.Open, r.Click, r.ClickToOpen, r.Unsubscribe}
}

// Rates are what the counts come to. Mail that was sent and then confirmed is in both sent and
// delivered, so that what has reached a mail server is the greater of the two.
func (c Counts) Rates() Rates {
	reached := max(c.Sent, c.Delivered)
	return Rates{
		Delivery: share(reached, reached+c.Bounced+c.Failed+c.Expired), Bounce: share(c.Bounced, reached+c.Bounced),
		Complaint: share(c.Complained, reached), Open: share(c.UniqueOpened, reached), Click: share(c.UniqueClicked, reached),
		ClickToOpen: share(c.UniqueClicked, c.UniqueOpened), Unsubscribe: share(c.Unsubscribed, reached),
	}
}

func share(part, whole int64) *float64 {
	if whole == 0 {
		return nil
	}
	s := float64(part) / float64(whole)
	return &s
}
