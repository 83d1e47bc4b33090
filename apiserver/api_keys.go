package apiserver

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mailtura/mailtura/internal/apikey"
	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/store"
)

// APIKey is a key without its secret.
type APIKey struct {
	ID        string     `json:"id" example:"key_01h455vb4pex5vsknk084sn02q"`
	Name      string     `json:"name" example:"production"`
	Prefix    string     `json:"prefix" doc:"How the key begins" example:"mt_live_8Zx1y2Qw3Er4…"`
	CreatedAt time.Time  `json:"createdAt"`
	RevokedAt *time.Time `json:"revokedAt" doc:"Since then it is refused; null: it is not revoked"`

	ExpiresAt  *time.Time     `json:"expiresAt" doc:"From then on it is refused; null: never"`
	LastUsedAt *time.Time     `json:"lastUsedAt" doc:"To about a minute; null: never yet"`
	ReplacedBy *string        `json:"replacedBy" doc:"The key that a rotation made in its place" example:"key_01h455vb4pex5vsknk084sn02r"`
	Scopes     []apikey.Scope `json:"scopes" doc:"What it may do"`

	AllowedCIDRs []string `json:"allowedCidrs" nullable:"true" doc:"From where it may be used; null: from everywhere" example:"[\"203.0.113.0/24\"]"`
}

// NewAPIKey is a key that was just made: the only answer that has the key itself.
type NewAPIKey struct {
	APIKey
	Key string `json:"key" doc:"The key. It is shown this once." example:"mt_live_8Zx1y2Qw3Er4…"`
}

// CreateAPIKey is a key to be made.
type CreateAPIKey struct {
	Name string `json:"name" minLength:"1" maxLength:"100" doc:"What it is for" example:"production"`

	ExpiresAt *time.Time     `json:"expiresAt,omitempty" doc:"In the future, and not behind that of the key that makes it, which is also the default; from then on it is refused. null there: never"`
	Scopes    []apikey.Scope `json:"scopes,omitempty" minItems:"1" maxItems:"50" doc:"What it may do: at most what the key that makes it may, which is also the default. tenants:* and audit:read are for operator keys" enum:"emails:send,emails:read,templates:read,templates:write,events:read,keys:read,keys:write,tenants:read,tenants:write,audit:read,metrics:read,webhooks:read,webhooks:write,domains:read,domains:write"`

	AllowedCIDRs []string `json:"allowedCidrs,omitempty" minItems:"1" maxItems:"50" doc:"Networks from which alone it may be used, in CIDR notation. At most those of the key that makes it, which are also the default; with an operator key, a tenant's key may have any, and the default is everywhere" example:"[\"203.0.113.0/24\",\"2001:db8::/32\"]"`
}

// RotateAPIKey says how a key is replaced.
type RotateAPIKey struct {
	Overlap   string     `json:"overlap,omitempty" pattern:"^[0-9]{1,4}[smhd]$" default:"24h" doc:"How long the old key is good beside the new one, at most 30d" example:"24h"`
	ExpiresAt *time.Time `json:"expiresAt,omitempty" doc:"When the new key ends. Absent: it lives as long as the old one was made for. Never behind the end of the key that rotates it"`
}

// KeyPath is the path of a key.
type KeyPath struct {
	ID string `path:"id" maxLength:"40" example:"key_01h455vb4pex5vsknk084sn02q"`
}

func (s *Server) registerAPIKeys() {
	tags := []string{"API Keys"}
	register(s, forTenants(apikey.KeysWrite), s.createsSecret(huma.Operation{
		OperationID: "create-api-key", Method: http.MethodPost, Path: "/api-keys", Tags: tags, DefaultStatus: http.StatusCreated,
		Summary: "Create a key of the tenant",
	}), s.createAPIKey)
	register(s, forTenants(apikey.KeysRead), huma.Operation{
		OperationID: "list-api-keys", Method: http.MethodGet, Path: "/api-keys", Tags: tags, Summary: "List the tenant's keys",
	}, s.listAPIKeys)
	register(s, forTenants(apikey.KeysRead), huma.Operation{
		OperationID: "get-api-key", Method: http.MethodGet, Path: "/api-keys/{id}", Tags: tags, Summary: "Get a key of the tenant",
	}, s.getAPIKey)
	register(s, forTenants(apikey.KeysWrite), huma.Operation{
		OperationID: "revoke-api-key", Method: http.MethodDelete, Path: "/api-keys/{id}", Tags: tags, DefaultStatus: http.StatusNoContent,
		Summary: "Revoke a key of the tenant",
	}, s.revokeAPIKey)
	register(s, forTenants(apikey.KeysWrite), s.createsSecret(huma.Operation{
		OperationID: "rotate-api-key", Method: http.MethodPost, Path: "/api-keys/{id}/rotate", Tags: tags, DefaultStatus: http.StatusCreated,
		Summary: "Replace a key of the tenant by a new one", Description: rotation,
	}), s.rotateAPIKey)
}

const rotation = "The answer is a new key with the same name, scopes and networks. The old one goes on until the end of the overlap."

func (s *Server) createAPIKey(ctx context.Context, in *struct {
	TenantHeader
	Body CreateAPIKey
},
) (*body[NewAPIKey], error) {
	key, err := in.Body.key(ctx, apikey.Tenant)
	if err != nil {
		return nil, err
	}
	created, err := s.Store.CreateTenantKey(ctx, caller(ctx).ID, key, keepKey(ctx, key.Key)...)
	return newAPIKey(created, key.Key, err)
}

// key checks what is asked for, and makes a key of it.
func (in CreateAPIKey) key(ctx context.Context, kind apikey.Kind) (k store.NewKey, err error) {
	if strings.TrimSpace(in.Name) == "" {
		return k, fault.InvalidFields(fault.Field{Location: "body.name", Code: "invalid_name", Message: "a name has more than spaces"})
	}
	maker := used(ctx)
	expiresAt, err := endUnder(maker, in.ExpiresAt)
	if err != nil {
		return k, err
	}
	networks, err := in.networks(maker, kind)
	if err != nil {
		return k, err
	}
	for i, scope := range in.Scopes {
		if !slices.Contains(apikey.Scopes(kind), scope) {
			return k, fault.InvalidFields(fault.Field{
				Location: "body.scopes[" + strconv.Itoa(i) + "]", Code: "invalid_value", Message: "is not a scope of a tenant's keys",
			})
		}
	}
	grant, missing := maker.Grant.Pass(kind, in.Scopes)
	if missing != "" {
		return k, errScope(missing)
	}
	return store.NewKey{Name: in.Name, Key: apikey.New(kind), ExpiresAt: expiresAt, Grant: grant, Networks: networks}, nil
}

func newAPIKey(created store.APIKey, key apikey.Key, err error) (*body[NewAPIKey], error) {
	if err != nil {
		return nil, err
	}
	return &body[NewAPIKey]{showNewKey(created, key)}, nil
}

func showNewKey(created store.APIKey, key apikey.Key) NewAPIKey {
	return NewAPIKey{APIKey: showAPIKey(created), Key: key.Text()}
}

// keepKey has the answer with a new key kept.
func keepKey(ctx context.Context, key apikey.Key) []store.Keep[store.APIKey] {
	return keepCreated(ctx, func(created store.APIKey) (any, error) { return showNewKey(created, key), nil })
}

func (s *Server) rotateAPIKey(ctx context.Context, in *struct {
	TenantHeader
	KeyPath
	Body *RotateAPIKey
},
) (*body[NewAPIKey], error) {
	r, err := in.Body.rotation(ctx, in.KeyPath, apikey.Tenant)
	if err != nil {
		return nil, err
	}
	defer s.known.forget()
	created, err := s.Store.RotateTenantKey(ctx, caller(ctx).ID, r, keepKey(ctx, r.New)...)
	return newAPIKey(created, r.New, err)
}

const (
	defaultOverlap = 24 * time.Hour
	maxOverlap     = 30 * 24 * time.Hour
)

// rotation checks how a key is to be replaced. No key gets one that may do more than itself.
func (in *RotateAPIKey) rotation(ctx context.Context, path KeyPath, kind apikey.Kind) (r store.Rotation, err error) {
	keyID, err := id.APIKey.Parse(path.ID)
	if err != nil {
		return r, noSuch("key_not_found", "key")
	}
	r = store.Rotation{Old: keyID, New: apikey.New(kind), Now: time.Now(), Overlap: defaultOverlap}
	maker := used(ctx)
	r.Latest = maker.ExpiresAt
	r.Allow = func(grant apikey.Grant, networks apikey.Networks) error {
		if missing := maker.Grant.Missing(kind, grant); missing != "" {
			return errScope(missing)
		}
		return networksUnder(maker, kind, networks)
	}
	if in == nil {
		return r, nil
	}
	if r.Overlap, err = readOverlap(in.Overlap); err != nil {
		return r, err
	}
	if in.ExpiresAt != nil {
		r.ExpiresAt, err = endUnder(maker, in.ExpiresAt)
	}
	return r, err
}

// readOverlap reads the overlap of a rotation, whose form is checked; fault out_of_range.
func readOverlap(text string) (time.Duration, error) {
	number, unit := text[:len(text)-1], text[len(text)-1]
	n, _ := strconv.Atoi(number) // at most four digits
	overlap := time.Duration(n) * map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour}[unit]
	if overlap > maxOverlap {
		return 0, fault.InvalidFields(fault.Field{Location: "body.overlap", Code: "out_of_range", Message: "at most 30d"})
	}
	return overlap, nil
}

func (s *Server) listAPIKeys(ctx context.Context, in *struct {
	TenantHeader
	Page
},
) (*body[list[APIKey]], error) {
	items, next, err := s.Store.ListTenantKeys(ctx, caller(ctx).ID, in.After, in.Limit)
	if err != nil {
		return nil, err
	}
	return newList(items, next, showAPIKey), nil
}

func (s *Server) revokeAPIKey(ctx context.Context, in *struct {
	TenantHeader
	KeyPath
	IfMatchHeader
},
) (*struct{}, error) {
	keyID, err := id.APIKey.Parse(in.ID)
	if err != nil {
		return nil, noSuch("key_not_found", "key")
	}
	defer s.known.forget()
	return nil, s.Store.RevokeTenantKey(ctx, caller(ctx).ID, keyID, in.allowsKey)
}

func showAPIKey(k store.APIKey) APIKey {
	kind := apikey.Tenant
	if k.TenantID == "" {
		kind = apikey.Operator
	}
	shown := APIKey{
		ID: id.APIKey.Format(k.ID), Name: k.Name, Prefix: apikey.Shown(kind, k.Prefix),
		CreatedAt: k.CreatedAt.UTC(), RevokedAt: utc(k.RevokedAt),
		ExpiresAt: utc(k.ExpiresAt), LastUsedAt: utc(k.LastUsedAt), Scopes: k.Grant.Of(kind),
		AllowedCIDRs: k.Networks.Texts(),
	}
	if k.ReplacedBy != nil {
		by := id.APIKey.Format(*k.ReplacedBy)
		shown.ReplacedBy = &by
	}
	return shown
}
