package apiserver

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mailtura/mailtura/internal/fault"
)

// resource is an answer that is one resource as it stands, with its tag (RFC 9110 §8.8.3).
type resource[T any] struct {
	ETag string `header:"ETag" doc:"Changes with the body; for If-None-Match and If-Match"`
	Body T
}

func newResource[T any](shown T) (*resource[T], error) {
	tag, err := tagOf(shown)
	return &resource[T]{tag, shown}, err
}

func (r *resource[T]) tag() string { return r.ETag }

// tagOf is the strong tag of a resource: the hash of the body that shows it.
func tagOf(shown any) (string, error) {
	sum := sha256.New()
	err := huma.DefaultJSONFormat.Marshal(sum, shown)
	return quoteTag(sum.Sum(nil)), err
}

// tagOfBody is what tagOf gave for the resource in a body.
func tagOfBody(body []byte) string {
	sum := sha256.Sum256(body)
	return quoteTag(sum[:])
}

func quoteTag(sum []byte) string { return `"` + base64.RawURLEncoding.EncodeToString(sum[:15]) + `"` }

// IfNoneMatchHeader is the condition of a request that reads a resource.
type IfNoneMatchHeader struct {
	IfNoneMatch string `header:"If-None-Match" doc:"ETags that you have; with one that still fits, the answer is 304 without a body"`
}

// knows reports whether the caller has what has the tag. For this the comparison is weak:
// proxies that compress weaken tags.
func (h *IfNoneMatchHeader) knows(tag string) bool {
	for one := range strings.SplitSeq(h.IfNoneMatch, ",") {
		if one = strings.TrimSpace(one); one == "*" || strings.TrimPrefix(one, "W/") == tag {
			return true
		}
	}
	return false
}

// IfMatchHeader is the condition of a request that changes a resource.
type IfMatchHeader struct {
	IfMatch string `header:"If-Match" doc:"ETags, or *. When the resource has none of them any more, nothing is changed: 412 precondition_failed"`
}

func (*IfMatchHeader) isCondition() {}

// allows checks the condition against a resource that no one else can change meanwhile.
func (h *IfMatchHeader) allows(shown any) error {
	if h.IfMatch == "" {
		return nil
	}
	tag, err := tagOf(shown)
	if err != nil {
		return err
	}
	for one := range strings.SplitSeq(h.IfMatch, ",") {
		if one = strings.TrimSpace(one); one == "*" || one == tag {
			return nil
		}
	}
	return fault.New(fault.PreconditionFailed, "precondition_failed",
		"The resource is not as If-Match says any more. Nothing was changed; get it again.")
}

// notModified is the answer to a caller that knows the resource as it stands.
type notModified struct{ tag string }

var (
	_ huma.StatusError  = notModified{}
	_ huma.HeadersError = notModified{}
)

// Error is for logs.
func (notModified) Error() string { return http.StatusText(http.StatusNotModified) }

// GetStatus is the HTTP status.
func (notModified) GetStatus() int { return http.StatusNotModified }

// GetHeaders has the tag again.
func (n notModified) GetHeaders() http.Header { return http.Header{"Etag": {n.tag}} }

// alreadyKnown is the answer to a request whose caller may have it already.
func alreadyKnown(in, out any) (notModified, bool) {
	reads, ok := in.(interface{ knows(tag string) bool })
	if !ok {
		return notModified{}, false
	}
	one, ok := out.(interface{ tag() string })
	if !ok || !reads.knows(one.tag()) {
		return notModified{}, false
	}
	return notModified{one.tag()}, true
}

// conditional documents the answers to the conditions that an operation heeds.
func conditional(op *huma.Operation, in any) {
	switch in.(type) {
	case interface{ knows(tag string) bool }:
		op.Responses = map[string]*huma.Response{"304": {
			Description: "Not Modified", Headers: map[string]*huma.Param{"ETag": {Schema: &huma.Schema{Type: huma.TypeString}}},
		}}
	case interface{ isCondition() }:
		op.Errors = append(op.Errors, http.StatusPreconditionFailed)
	}
}

// tagged reports whether the answers of an operation have a tag.
func tagged(op *huma.Operation, status string) bool {
	answer := op.Responses[status]
	return answer != nil && answer.Headers["ETag"] != nil
}
