package apiserver

import (
	"cmp"
	"context"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mailtura/mailtura/internal/apikey"
	"github.com/mailtura/mailtura/internal/email"
	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/template"
)

// ValidateTemplate says how a template is to be validated.
type ValidateTemplate struct {
	Class   string `json:"class,omitempty" enum:"transactional,bulk" doc:"Of the emails that it is for: bulk mail needs a way to unsubscribe. transactional when it is absent"`
	Version int32  `json:"version,omitempty" minimum:"1" doc:"An older version; the current one when it is absent"`
}

// ValidateDraft is a template that is not saved, and how it is to be validated.
type ValidateDraft struct {
	Template DraftTemplate `json:"template"`
	Class    string        `json:"class,omitempty" enum:"transactional,bulk"`
}

// Validation is what is wrong with a template.
type Validation struct {
	Valid    bool      `json:"valid" doc:"Whether no finding is an error"`
	Findings []Finding `json:"findings" doc:"Errors first, then warnings; within them by place"`
}

// Finding is something that is wrong with a template, or may be.
type Finding struct {
	Severity string `json:"severity" enum:"error,warning,info" doc:"error: emails of it are refused, fail or are broken. warning: they may be. info: good to know"`
	Code     string `json:"code" doc:"Stable; the list is in docs/errors.md" example:"relative_link"`
	Message  string `json:"message"`
	Part     string `json:"part,omitempty" enum:"subject,html,text,mjml,variables" doc:"Absent: it is about the template as a whole"`
	Line     int    `json:"line,omitempty" doc:"From 1; absent when it is not known"`
	Column   int    `json:"column,omitempty"`
}

func (s *Server) registerTemplateValidation() {
	tags := []string{"Templates"}
	const description = "Unknown and unused variables, links that lead nowhere, images without alt, HTML that Gmail cuts off, and " +
		"what fails when it is rendered with example variables. Nothing is changed."
	register(s, forTenants(apikey.TemplatesRead), huma.Operation{
		OperationID: "validate-template", Method: http.MethodPost, Path: "/templates/{name}/validate", Tags: tags,
		Summary: "Find what is wrong with a template", Description: description,
	}, s.validateTemplate)
	register(s, forTenants(apikey.TemplatesRead), huma.Operation{
		OperationID: "validate-draft", Method: http.MethodPost, Path: "/templates/validate", Tags: tags, MaxBodyBytes: 4 << 20,
		Summary: "Find what is wrong with a template that is not saved", Description: description + " What saving would refuse is a finding too.",
	}, s.validateDraft)
}

func (s *Server) validateTemplate(ctx context.Context, in *struct {
	TenantHeader
	TemplatePath
	Body ValidateTemplate
},
) (*body[Validation], error) {
	t, err := s.templateAt(ctx, in.Name, in.Body.Version)
	if err != nil {
		return nil, err
	}
	findings, err := s.lint(ctx, t, in.Body.Class)
	if err != nil {
		return nil, err
	}
	return showFindings(findings), nil
}

func (s *Server) validateDraft(ctx context.Context, in *struct {
	TenantHeader
	Body ValidateDraft
},
) (*body[Validation], error) {
	t, err := s.compileDraft(ctx, in.Body.Template)
	if f, ok := fault.As(err); ok && f.Kind == fault.Invalid {
		return showFindings(refusals(f)), nil
	}
	if err != nil {
		return nil, err
	}
	findings, err := s.lint(ctx, t, in.Body.Class)
	if err != nil {
		return nil, err
	}
	return showFindings(findings), nil
}

// refusals are the reasons for which a draft could not be saved.
func refusals(f *fault.Error) (findings []template.Finding) {
	for _, p := range template.Problems(f) {
		findings = append(findings, template.Finding{
			Severity: template.Fails, Code: f.Code, Message: p.Message, Part: p.Part, Line: p.Line, Column: p.Column,
		})
	}
	if findings != nil {
		return findings
	}
	for _, field := range f.Fields {
		part := ""
		if len(field.Location) > len("body.") {
			part = field.Location[len("body."):]
		}
		findings = append(findings, template.Finding{
			Severity: template.Fails, Code: cmp.Or(field.Code, f.Code), Message: field.Message, Part: part,
		})
	}
	return findings
}

// lint looks at everything of a template.
func (s *Server) lint(ctx context.Context, t store.Template, class string) ([]template.Finding, error) {
	written, part := t.Source, "html"
	if t.MJML != "" { // what its author sees
		written.HTML, part = t.MJML, "mjml"
	}
	analysis, err := s.Templates.Check(ctx, written)
	if err != nil {
		return nil, err
	}
	findings := template.LintMarkup(part, written.HTML)
	if t.Variables != nil {
		for i := range analysis.Uses {
			if analysis.Uses[i].Part == "html" {
				analysis.Uses[i].Part = part
			}
		}
		findings = append(findings, template.LintVariables(t.Variables, analysis.Uses)...)
	}
	if t.Kind == store.KindTemplate && t.Source.Subject == "" {
		findings = append(findings, template.Finding{
			Severity: template.Warns, Code: "missing_subject", Part: "subject", Message: "every email of it has to bring a subject",
		})
	}
	return s.lintRendered(ctx, t, class, findings)
}

// lintRendered looks at an email with example variables.
func (s *Server) lintRendered(
	ctx context.Context, t store.Template, class string, findings []template.Finding,
) ([]template.Finding, error) {
	shown, err := s.preview(ctx, t, PreviewTo{}, nil)
	if f, ok := fault.As(err); ok && f.Kind == fault.Invalid {
		for _, finding := range refusals(f) {
			finding.Message = "with example variables: " + finding.Message
			findings = append(findings, finding)
		}
		return findings, nil
	}
	if err != nil {
		return nil, err
	}
	rendered := template.Rendered{Subject: shown.Subject, HTML: shown.HTML, Text: shown.Text}
	bulk := class == string(email.Bulk) && t.Kind == store.KindTemplate
	return append(findings, s.Templates.LintRendered(t.Source, rendered, bulk)...), nil
}

func showFindings(findings []template.Finding) *body[Validation] {
	rank := map[string]int{template.Fails: 0, template.Warns: 1, template.Notes: 2}
	slices.SortStableFunc(findings, func(a, b template.Finding) int {
		return cmp.Or(cmp.Compare(rank[a.Severity], rank[b.Severity]), cmp.Compare(a.Part, b.Part), cmp.Compare(a.Line, b.Line))
	})
	out := &body[Validation]{Validation{Valid: true, Findings: make([]Finding, len(findings))}}
	for i, f := range findings {
		out.Body.Findings[i] = Finding(f)
		out.Body.Valid = out.Body.Valid && f.Severity != template.Fails
	}
	return out
}
