package apiserver

import (
	"context"
	"net/netip"
	"strings"

	"github.com/mailtura/mailtura/internal/domain"
	"github.com/mailtura/mailtura/internal/flow"
	"github.com/mailtura/mailtura/internal/store"
)

// showDomain shows a domain of the caller.
func (s *Server) showDomain(ctx context.Context, d store.Domain) Domain {
	shown := Domain{
		Name: d.Name, Status: string(d.Status), Records: []DomainRecord{}, Selectors: []DomainSelector{},
		VerifiedAt: utc(d.VerifiedAt), FailingSince: utc(d.FailingSince), CheckedAt: utc(d.CheckedAt), NextCheckAt: d.CheckAt.UTC(),
		Workflow:  s.workflow(flow.WatchDomainID(d.TenantID, d.ID), ""),
		CreatedAt: d.CreatedAt.UTC(), UpdatedAt: d.UpdatedAt.UTC(),
	}
	advice := domain.Advice{SPF: s.Domains.SPF, Tracking: s.trackingTarget()}
	for _, r := range d.Records(advice, caller(ctx).Settings.Tracking.Domain) {
		shown.Records = append(shown.Records, DomainRecord{
			Purpose: string(r.Purpose), Type: r.Type, Name: r.Name, Value: r.Value, Required: r.Required, Status: string(r.Status),
			Found: append([]string{}, r.Found...), CheckedAt: utc(r.CheckedAt),
		})
	}
	for _, k := range d.Keys {
		shown.Selectors = append(shown.Selectors, showSelector(k))
	}
	return shown
}

func showSelector(k domain.Key) DomainSelector {
	shown := DomainSelector{Selector: k.Selector, Algorithm: string(k.Algorithm), Status: "pending", CreatedAt: k.CreatedAt.UTC()}
	switch {
	case k.Active():
		shown.Status = "active"
	case k.RetiredAt != nil:
		ends := k.RetiredAt.Add(domain.Overlap).UTC()
		shown.Status, shown.EndsAt = "retired", &ends
	}
	return shown
}

// trackingTarget is the name that a CNAME of a tracking domain can lead to; empty: the
// installation has none.
func (s *Server) trackingTarget() string {
	_, err := netip.ParseAddr(s.publicHost)
	if err == nil || !strings.Contains(s.publicHost, ".") {
		return ""
	}
	return s.publicHost
}
