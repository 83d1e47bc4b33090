package main

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
)

// The committed schema is the one that the program prints.
func TestSchema_IsCommitted(t *testing.T) {
	t.Parallel()
	committed, err := os.ReadFile("../../docs/mailtura.schema.json")
	require.NoError(t, err)
	run := mailturaWith(t, nil, "schema")
	require.Zero(t, run.code, run.stderr)
	require.Equal(t, string(committed), run.stdout, "mailtura schema > docs/mailtura.schema.json")
}

func compiledSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	raw, err := configurationSchema()
	require.NoError(t, err)
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	require.NoError(t, err)
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	require.NoError(t, c.AddResource("mailtura.schema.json", doc))
	schema, err := c.Compile("mailtura.schema.json")
	require.NoError(t, err)
	return schema
}

func asJSON(t *testing.T, text string) any {
	t.Helper()
	raw, err := yaml.YAMLToJSON([]byte(text))
	require.NoError(t, err)
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	require.NoError(t, err)
	return doc
}

const seedBlock = `tenants:
  - id: acme-corp
    domain: acme.com
    fromEmail: noreply@acme.com
    fromName: Acme Corporation
    quotas:
      dailyLimit: 10000
      rateLimit: 100
`

// What the documents show is valid, and so is the seed's block.
func TestSchema_FitsTheExamples(t *testing.T) {
	t.Parallel()
	schema := compiledSchema(t)
	examples := []string{seedBlock}
	for _, file := range []string{"../../docs/guides/tenants.md", "../../docs/guides/configuration-file.md"} {
		raw, err := os.ReadFile(file)
		require.NoError(t, err)
		found := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(raw), -1)
		require.NotEmpty(t, found, file)
		for _, m := range found {
			examples = append(examples, m[1])
		}
	}
	for _, example := range examples {
		require.NoError(t, schema.Validate(asJSON(t, example)), example)
	}
	require.NoError(t, schema.Validate(asJSON(t, "x-a: 1\ntenants:\n- {id: '${ID}', domain: a.bc, weight: '${WEIGHT:-2}', quotas: {burst: '${BURST}', overLimit: queue}}")))
}

func TestSchema_Refuses(t *testing.T) {
	t.Parallel()
	schema := compiledSchema(t)
	for _, line := range []string{
		"weight: 1.5", "weight: '5'", "weight: 1001", "dailyLimit: 5", "quotas: {weight: 5}", "quotas: {burst: x}", "onUnknownOutcome: retry", "surprise: 1",
		"templates: [{text: x}]", "apiKeys: [{name: k, scopes: [root]}]", "apiKeys: [{name: k, key: x}]",
		"webhooks: [{url: 'https://a.bc'}]", "webhooks: [{url: 'https://a.bc', events: []}]", "webhooks: [{url: 'https://a.bc', events: ['*'], secret: whsec_x}]",
	} {
		require.Error(t, schema.Validate(asJSON(t, "tenants: [{id: a, domain: a.bc, "+line+"}]")), line)
	}
	require.Error(t, schema.Validate(asJSON(t, strings.Replace(seedBlock, "    domain: acme.com\n", "", 1))))
}
