package main

import (
	"encoding/json"
	"os"
	"reflect"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mailtura/mailtura/internal/apikey"
	"github.com/mailtura/mailtura/internal/plan"
)

// schemaComment has an editor use the schema that mailtura schema prints.
const schemaComment = "# yaml-language-server: $schema=mailtura.schema.json\n"

type schemaCmd struct{}

// Run prints the JSON Schema (2020-12) of the configuration file.
func (schemaCmd) Run() error {
	raw, err := configurationSchema()
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(raw)
	return err
}

// configurationSchema derives the schema from the structs that the file is read into.
func configurationSchema() ([]byte, error) {
	registry := huma.NewMapRegistry("#/$defs/", huma.DefaultSchemaNamer)
	registry.Schema(reflect.TypeFor[plan.File](), true, "File")
	defs := registry.Map()
	settings, entry, quotas := defs["Settings"], defs["Entry"], defs["Quotas"]
	delete(entry.Properties, "Settings") // they are beside the others
	entry.Required = slices.DeleteFunc(entry.Required, func(name string) bool { return name == "Settings" })
	for name, property := range settings.Properties {
		if plan.IsQuota(name) {
			continue
		}
		delete(quotas.Properties, name)
		entry.Properties[name] = property
	}
	delete(defs, "Settings")
	defs["APIKey"].Properties["scopes"].Items.Enum = scopesOfKeys()
	for _, def := range defs {
		for name, property := range def.Properties {
			def.Properties[name] = orReference(property)
		}
	}
	defs["File"].Extensions = map[string]any{"patternProperties": map[string]any{"^x-": map[string]any{"description": "Anchors for aliases"}}}
	raw, err := json.MarshalIndent(map[string]any{
		"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Mailtura configuration file",
		"$ref": "#/$defs/File", "$defs": defs,
	}, "", "  ")
	return append(raw, '\n'), err
}

// scopesOfKeys are the scopes that a tenant's key may have.
func scopesOfKeys() (all []any) {
	for _, scope := range apikey.Scopes(apikey.Tenant) {
		all = append(all, scope)
	}
	return all
}

const isReference = `\$\{[A-Za-z_]`

// orReference lets a value that is not any text be a reference to the environment instead.
func orReference(s *huma.Schema) *huma.Schema {
	anyText := s.Type == huma.TypeString && s.Enum == nil && s.Format == "" && s.Pattern == ""
	if anyText || s.Pattern == isReference || s.Ref != "" || s.Type == huma.TypeArray || s.Type == huma.TypeObject {
		return s
	}
	value := *s
	value.Description, value.Examples = "", nil
	return &huma.Schema{
		Description: s.Description, Examples: s.Examples,
		AnyOf: []*huma.Schema{&value, {Type: huma.TypeString, Pattern: isReference, Description: "A reference to the environment"}},
	}
}
