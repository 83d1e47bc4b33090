package apiserver

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/rogpeppe/go-internal/diff"

	"github.com/mailtura/mailtura/internal/apikey"
	"github.com/mailtura/mailtura/internal/store"
)

// TemplateVersion is a version of a template, without its content.
type TemplateVersion struct {
	Version           int32         `json:"version"`
	RequiredVariables []string      `json:"requiredVariables"`
	Partials          []PartialUsed `json:"partials" doc:"Partials that it calls, directly or not. Where only these differ from the version before, a new version of a partial made this one"`
	CreatedAt         time.Time     `json:"createdAt"`
}

// TemplateVersionPath is the path of a version.
type TemplateVersionPath struct {
	TemplatePath
	Version int32 `path:"version" minimum:"1" example:"3"`
}

// TemplateDiff is what changed between two versions.
type TemplateDiff struct {
	From int32  `json:"from"`
	To   int32  `json:"to"`
	Diff string `json:"diff" doc:"Unified diff of the parts that differ: subject, mjml or html, text, variables (as JSON) and settings (inlineCss, versions of partials). Empty when none does" example:"diff subject@1 subject@2\n--- subject@1\n+++ subject@2\n@@ -1,1 +1,1 @@\n-Hi\n+Hello\n"`
}

func (s *Server) registerTemplateVersions() {
	tags := []string{"Templates"}
	register(s, forTenants(apikey.TemplatesRead), huma.Operation{
		OperationID: "list-template-versions", Method: http.MethodGet, Path: "/templates/{name}/versions", Tags: tags,
		Summary: "List the versions of a template",
	}, s.listTemplateVersions)
	register(s, forTenants(apikey.TemplatesRead), huma.Operation{
		OperationID: "get-template-version", Method: http.MethodGet, Path: "/templates/{name}/versions/{version}", Tags: tags,
		Summary: "Get a version of a template",
	}, s.getTemplateVersion)
	register(s, forTenants(apikey.TemplatesWrite), s.creates(huma.Operation{
		OperationID: "restore-template-version", Method: http.MethodPost, Path: "/templates/{name}/versions/{version}/restore", Tags: tags,
		DefaultStatus: http.StatusCreated, Summary: "Make an old version the newest again",
		Description: "Makes a new version with its content. Partials that it calls are the present ones.",
	}), s.restoreTemplateVersion)
	register(s, forTenants(apikey.TemplatesRead), huma.Operation{
		OperationID: "diff-template", Method: http.MethodGet, Path: "/templates/{name}/diff", Tags: tags,
		Summary: "See what changed between two versions of a template",
	}, s.diffTemplate)
}

func (s *Server) listTemplateVersions(ctx context.Context, in *struct {
	TenantHeader
	TemplatePath
	Page
},
) (*body[list[TemplateVersion]], error) {
	items, next, err := s.Store.ListTemplateVersions(ctx, caller(ctx).ID, in.Name, in.After, in.Limit)
	if err != nil {
		return nil, err
	}
	return newList(items, next, func(v store.TemplateVersion) TemplateVersion {
		shown := TemplateVersion{Version: v.Version, RequiredVariables: v.Required, Partials: []PartialUsed{}, CreatedAt: v.CreatedAt.UTC()}
		for _, name := range slices.Sorted(maps.Keys(v.Partials)) {
			shown.Partials = append(shown.Partials, PartialUsed{name, v.Partials[name]})
		}
		return shown
	}), nil
}

func (s *Server) getTemplateVersion(ctx context.Context, in *struct {
	TenantHeader
	TemplateVersionPath
	IfNoneMatchHeader
},
) (*resource[Template], error) {
	t, err := s.Store.TemplateAt(ctx, caller(ctx).ID, in.Name, in.Version)
	if err != nil {
		return nil, err
	}
	return templateResource(t)
}

func (s *Server) restoreTemplateVersion(ctx context.Context, in *struct {
	TenantHeader
	TemplateVersionPath
	IfMatchHeader
},
) (*resource[Template], error) {
	t, err := s.Store.TemplateAt(ctx, caller(ctx).ID, in.Name, in.Version)
	if err != nil {
		return nil, err
	}
	if t, err = s.updateLinked(ctx, caller(ctx).ID, t, keepTemplate(ctx), in.allowsTemplate); err != nil {
		return nil, err
	}
	return templateResource(t)
}

func (s *Server) diffTemplate(ctx context.Context, in *struct {
	TenantHeader
	TemplatePath
	From int32 `query:"from" minimum:"1" doc:"A version; the one before to when it is absent"`
	To   int32 `query:"to" minimum:"1" doc:"Another version; the current one when it is absent"`
},
) (*body[TemplateDiff], error) {
	to, err := s.templateAt(ctx, in.Name, in.To)
	if err != nil {
		return nil, err
	}
	if in.From == 0 {
		in.From = max(to.Version-1, 1)
	}
	from, err := s.templateAt(ctx, in.Name, in.From)
	if err != nil {
		return nil, err
	}
	old, err := diffParts(from)
	if err != nil {
		return nil, err
	}
	next, err := diffParts(to)
	if err != nil {
		return nil, err
	}
	var text strings.Builder
	for i, part := range []string{"subject", "mjml", "html", "text", "variables", "settings"} {
		oldName, newName := fmt.Sprintf("%s@%d", part, from.Version), fmt.Sprintf("%s@%d", part, to.Version)
		text.Write(diff.Diff(oldName, []byte(old[i]), newName, []byte(next[i])))
	}
	return &body[TemplateDiff]{TemplateDiff{From: from.Version, To: to.Version, Diff: text.String()}}, nil
}

// diffParts are the parts of a version as lines of text.
func diffParts(t store.Template) (parts [6]string, err error) {
	variables := ""
	if t.Variables != nil {
		var value any
		if err := json.Unmarshal(t.Variables, &value); err != nil {
			return parts, err
		}
		indented, err := json.MarshalIndent(value, "", "  ")
		if err != nil {
			return parts, err
		}
		variables = string(indented)
	}
	html := t.Source.HTML
	if t.MJML != "" { // it follows from that
		html = ""
	}
	settings := fmt.Sprintf("inlineCss: %t\n", t.Source.InlineCSS)
	for _, p := range showPartials(t.Source.Partials) {
		settings += fmt.Sprintf("partial %s: version %d\n", p.Name, p.Version)
	}
	parts = [6]string{t.Source.Subject, t.MJML, html, t.Source.Text, variables, settings}
	for i, part := range parts {
		if part != "" && !strings.HasSuffix(part, "\n") {
			parts[i] = part + "\n"
		}
	}
	return parts, nil
}
