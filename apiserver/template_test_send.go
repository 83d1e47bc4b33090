package apiserver

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mailtura/mailtura/internal/apikey"
)

// TestTemplate says who gets a test of a template.
type TestTemplate struct {
	To        Addresses      `json:"to" doc:"One address, or a list of them"`
	Variables map[string]any `json:"variables,omitempty" doc:"As in an email. Absent: made from the schema of the template, as for a preview"`
	Version   int32          `json:"version,omitempty" minimum:"1" doc:"An older version; the current one when it is absent"`
}

// testTag marks tests of templates among the emails.
const testTag = "test"

func (s *Server) registerTemplateTests() {
	register(s, forTenants(apikey.EmailsSend), s.creates(huma.Operation{
		OperationID: "test-template", Method: http.MethodPost, Path: "/templates/{name}/test", Tags: []string{"Templates"},
		DefaultStatus: http.StatusAccepted, Summary: "Send a test of a template",
		Description: "An email like any other, with the tag `test`: it counts for the quota, and GET /emails/{id} says what became of it.",
		Errors:      []int{http.StatusConflict, http.StatusTooManyRequests},
	}), s.testTemplate)
}

func (s *Server) testTemplate(ctx context.Context, in *struct {
	TenantHeader
	TemplatePath
	Body TestTemplate
},
) (*acceptedOutput, error) {
	t, err := s.templateAt(ctx, in.Name, in.Body.Version)
	if err != nil {
		return nil, err
	}
	variables, err := previewVariables(t, in.Body.Variables)
	if err != nil {
		return nil, err
	}
	return s.accept(ctx, &SendEmail{
		To: in.Body.To, Template: in.Name, TemplateVersion: in.Body.Version, Variables: variables, Tags: []string{testTag},
	})
}
