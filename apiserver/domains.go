package apiserver

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/mailtura/mailtura/internal/apikey"
	"github.com/mailtura/mailtura/internal/domain"
	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/keyring"
	"github.com/mailtura/mailtura/internal/store"
)

// Domains is what the API needs for sender domains.
type Domains struct {
	Keys *keyring.Keyring // that private keys are sealed with; nil: no domain can be made
	DNS  interface {
		Look(ctx context.Context, questions []domain.Question) []domain.Answer
	}
	SPF []string // mechanisms that allow the mail servers of the installation; nil: they are not known
}

// Domain is a sender domain of a tenant.
type Domain struct {
	Name         string           `json:"name" doc:"Lower case; international names as IDNA A-labels" example:"mail.acme.com"`
	Status       string           `json:"status" enum:"pending,verified,failing,lost" doc:"pending: the required records were never all found; verified: mail may be sent from it; failing: they were found and are not any more, mail is sent as before; lost: failing for 3 days, no mail is sent from it"`
	Records      []DomainRecord   `json:"records" doc:"DNS records that the domain should have; those that are required prove that it is the tenant's, and mail is signed by them"`
	Selectors    []DomainSelector `json:"selectors" doc:"DKIM keys, the newest first"`
	VerifiedAt   *time.Time       `json:"verifiedAt,omitempty" doc:"When the required records were found last after they had not been; absent: never"`
	FailingSince *time.Time       `json:"failingSince,omitempty" doc:"Of one that is failing or lost"`
	CheckedAt    *time.Time       `json:"checkedAt,omitempty" doc:"When the DNS was asked last; absent: not yet"`
	NextCheckAt  time.Time        `json:"nextCheckAt" doc:"When it is asked again"`
	Workflow     *Workflow        `json:"workflow" doc:"That looks after the domain"`
	CreatedAt    time.Time        `json:"createdAt"`
	UpdatedAt    time.Time        `json:"updatedAt" doc:"When its status or its keys changed last"`
}

// DomainRecord is a DNS record that a domain should have, with what was found of it.
type DomainRecord struct {
	Purpose   string     `json:"purpose" enum:"dkim,spf,returnPath,dmarc,tracking" doc:"dkim: the public key of a signature. All others are advice: spf lets the installation's mail servers send, returnPath takes what comes back, dmarc is the policy of the domain, tracking is for links of tracked mail under a name of the domain"`
	Type      string     `json:"type" enum:"TXT,MX,CNAME"`
	Name      string     `json:"name" doc:"The full name, without a final dot" example:"mtxw3k9a2c-rsa._domainkey.mail.acme.com"`
	Value     string     `json:"value" doc:"What the record should be. A text over 255 characters is entered as several strings, which most providers do by themselves. Empty: whatever serves the purpose" example:"v=DKIM1; k=rsa; p=MIIBIjANBgkqhkiG9w0BAQ…"`
	Required  bool       `json:"required" doc:"The domain is verified when every required record is found"`
	Status    string     `json:"status" enum:"pending,found,different,missing,unknown" doc:"pending: not asked for yet; different: something is there that will not do; unknown: the DNS did not answer"`
	Found     []string   `json:"found" doc:"What is there, at most 20 values of up to 1000 bytes each"`
	CheckedAt *time.Time `json:"checkedAt,omitempty"`
}

// DomainSelector is a DKIM key of a domain.
type DomainSelector struct {
	Selector  string     `json:"selector" example:"mtxw3k9a2c-rsa"`
	Algorithm string     `json:"algorithm" enum:"rsa,ed25519" doc:"rsa has 2048 bits"`
	Status    string     `json:"status" enum:"pending,active,retired" doc:"pending: its record was not found yet; active: mail is signed with it; retired: replaced, and listed until endsAt because mail that it has signed is on its way"`
	CreatedAt time.Time  `json:"createdAt"`
	EndsAt    *time.Time `json:"endsAt,omitempty" doc:"Of one that is retired: leave its record in the DNS until then"`
}

// CreateDomain is a domain to be made.
type CreateDomain struct {
	Name string `json:"name" minLength:"1" maxLength:"400" doc:"A domain below a public suffix; international names may be in Unicode" example:"mail.acme.com"`
}

// DomainPath is the path of a domain.
type DomainPath struct {
	Name string `path:"name" maxLength:"400" doc:"Name of the domain" example:"mail.acme.com"`
}

// parse gives the name as it is kept. What is no name of a domain names none that there is.
func (p DomainPath) parse() (string, error) {
	if name, err := domain.ParseName(p.Name); err == nil {
		return name, nil
	}
	if !utf8.ValidString(p.Name) || strings.ContainsRune(p.Name, 0) {
		return "", noSuch("domain_not_found", "domain")
	}
	return p.Name, nil
}

func (s *Server) registerDomains() {
	tags := []string{"Domains"}
	register(s, forTenants(apikey.DomainsWrite), s.creates(huma.Operation{
		OperationID: "create-domain", Method: http.MethodPost, Path: "/domains", Tags: tags, DefaultStatus: http.StatusCreated,
		Summary: "Add a sender domain",
		Description: "Makes an RSA and an Ed25519 key and lists the DNS records that are to be published. The DNS is asked for them at once, " +
			"after 1, 5 and 15 minutes and then every hour, after three days every 6 hours. A tenant has at most 100 domains.",
	}), s.createDomain)
	register(s, forTenants(apikey.DomainsRead), huma.Operation{
		OperationID: "list-domains", Method: http.MethodGet, Path: "/domains", Tags: tags, Summary: "List sender domains",
	}, s.listDomains)
	register(s, forTenants(apikey.DomainsRead), huma.Operation{
		OperationID: "get-domain", Method: http.MethodGet, Path: "/domains/{name}", Tags: tags, Summary: "Get a sender domain",
	}, s.getDomain)
	register(s, forTenants(apikey.DomainsWrite), huma.Operation{
		OperationID: "delete-domain", Method: http.MethodDelete, Path: "/domains/{name}", Tags: tags, DefaultStatus: http.StatusNoContent,
		Summary: "Delete a sender domain with its keys",
		Description: "Nothing more is accepted from it, unless it is the tenant's own domain, and what was accepted is sent without " +
			"their signatures. The keys can not be had back.",
	}, s.deleteDomain)
	register(s, forTenants(apikey.DomainsWrite), huma.Operation{
		OperationID: "verify-domain", Method: http.MethodPost, Path: "/domains/{name}/verify", Tags: tags,
		Summary: "Look for the records of a domain now", Errors: []int{http.StatusConflict, http.StatusTooManyRequests},
		Description: "Answers with what was found, within 10 seconds. 409 `domain_taken`: all required records are there, but another tenant has the " +
			"domain verified. A name that was asked for before it existed may be unknown to the DNS for a while. " +
			"A tenant can have 60 checks made a minute: 429 `too_many_checks`, on each server.",
	}, s.verifyDomain)
	register(s, forTenants(apikey.DomainsWrite), s.creates(huma.Operation{
		OperationID: "rotate-domain-keys", Method: http.MethodPost, Path: "/domains/{name}/keys/rotate", Tags: tags,
		Summary: "Make new keys for a domain",
		Description: "Mail is signed with the old keys until the records of both new ones are found, and then with these. The old ones stay " +
			"listed for 7 days more. Keys whose records were never found are replaced at once.",
	}), s.rotateDomainKeys)
}

func (s *Server) createDomain(ctx context.Context, in *struct {
	TenantHeader
	Body CreateDomain
},
) (*resource[Domain], error) {
	name, err := domain.ParseName(in.Body.Name)
	if f, ok := fault.As(err); ok {
		return nil, fault.InvalidFields(fault.Field{Location: "body.name", Code: f.Code, Message: f.Detail})
	}
	t, domainID := caller(ctx), id.New()
	keys, err := s.newKeys(t.ID, domainID, name)
	if err != nil {
		return nil, err
	}
	d, err := s.Store.CreateDomain(ctx, t.ID, domainID, name, keys, keepCreated(ctx, s.shownDomain(ctx))...)
	if err != nil {
		return nil, err
	}
	s.watchDomain(ctx, d)
	return newResource(s.showDomain(ctx, d))
}

func (s *Server) newKeys(tenantID string, domainID uuid.UUID, name string) ([]domain.NewKey, error) {
	return domain.NewKeys(s.Domains.Keys, domain.Owner{TenantID: tenantID, DomainID: id.Domain.Format(domainID), Name: name})
}

// watchDomain tells the workflow of a domain that it was changed. When that is not done in time, it is done later.
func (s *Server) watchDomain(ctx context.Context, d store.Domain) {
	s.tellWorkflow(ctx, func(ctx context.Context) error { return s.Flow.WatchDomain(ctx, d.TenantID, d.ID) })
}

func (s *Server) tellWorkflow(ctx context.Context, tell func(context.Context) error) {
	wait, cancel := context.WithTimeout(ctx, followWait)
	defer cancel()
	if err := tell(wait); err != nil {
		s.log.WarnContext(ctx, "workflow of the domain is told by the next sweep", slog.Any("error", err))
	}
}

func (s *Server) listDomains(ctx context.Context, in *struct {
	TenantHeader
	Page
},
) (*body[list[Domain]], error) {
	items, next, err := s.Store.ListDomains(ctx, caller(ctx).ID, in.After, in.Limit)
	if err != nil {
		return nil, err
	}
	return newList(items, next, func(d store.Domain) Domain { return s.showDomain(ctx, d) }), nil
}

func (s *Server) getDomain(ctx context.Context, in *struct {
	TenantHeader
	DomainPath
	IfNoneMatchHeader
},
) (*resource[Domain], error) {
	d, err := s.domainAt(ctx, in.DomainPath)
	if err != nil {
		return nil, err
	}
	return newResource(s.showDomain(ctx, d))
}

func (s *Server) domainAt(ctx context.Context, path DomainPath) (store.Domain, error) {
	name, err := path.parse()
	if err != nil {
		return store.Domain{}, err
	}
	return s.Store.Domain(ctx, caller(ctx).ID, name)
}

func (s *Server) deleteDomain(ctx context.Context, in *struct {
	TenantHeader
	DomainPath
	IfMatchHeader
},
) (*struct{}, error) {
	name, err := in.parse()
	if err != nil {
		return nil, err
	}
	defer s.known.forget()
	d, err := s.Store.DeleteDomain(ctx, caller(ctx).ID, name, s.allowsDomain(ctx, &in.IfMatchHeader))
	if err != nil {
		return nil, err
	}
	s.tellWorkflow(ctx, func(ctx context.Context) error { return s.Flow.LeaveDomain(ctx, d.TenantID, d.ID) })
	return nil, nil //nolint:nilnil // 204
}

func (s *Server) allowsDomain(ctx context.Context, h *IfMatchHeader) store.Condition[store.Domain] {
	return func(d store.Domain) error { return h.allows(s.showDomain(ctx, d)) }
}

func (s *Server) verifyDomain(ctx context.Context, in *struct {
	TenantHeader
	DomainPath
},
) (*resource[Domain], error) {
	d, err := s.domainAt(ctx, in.DomainPath)
	if err != nil {
		return nil, err
	}
	if err := s.checks.allow(d.TenantID); err != nil {
		return nil, err
	}
	defer s.known.forget()
	look := store.Look{TenantID: d.TenantID, DomainID: d.ID, Asked: true}
	look.Answers = s.Domains.DNS.Look(ctx, d.Questions(caller(ctx).Settings.Tracking.Domain))
	if err := ctx.Err(); err != nil { // it was not the DNS that did not answer
		return nil, err
	}
	d, blocked, err := s.Store.JudgeDomain(ctx, look)
	if err != nil {
		return nil, err
	}
	s.watchDomain(ctx, d)
	if blocked {
		return nil, store.DomainTaken()
	}
	return newResource(s.showDomain(ctx, d))
}

func (s *Server) rotateDomainKeys(ctx context.Context, in *struct {
	TenantHeader
	DomainPath
	IfMatchHeader
},
) (*resource[Domain], error) {
	d, err := s.domainAt(ctx, in.DomainPath)
	if err != nil {
		return nil, err
	}
	keys, err := s.newKeys(d.TenantID, d.ID, d.Name)
	if err != nil {
		return nil, err
	}
	d, err = s.Store.RotateDomainKeys(ctx, d.TenantID, store.KeyRotation{
		Name: d.Name, Keys: keys, Keep: keepAnswer(ctx, http.StatusOK, s.shownDomain(ctx)),
	}, s.allowsDomain(ctx, &in.IfMatchHeader))
	if err != nil {
		return nil, err
	}
	s.watchDomain(ctx, d)
	return newResource(s.showDomain(ctx, d))
}

func (s *Server) shownDomain(ctx context.Context) func(store.Domain) (any, error) {
	return func(d store.Domain) (any, error) { return s.showDomain(ctx, d), nil }
}
