package template_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/template"
)

// TestMain finds goroutines that outlive the engines which started them.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patient has time limits that a correct template never meets, however slow the machine.
var patient = template.Config{VMs: 2, Timeout: time.Minute}

func newEngine(t testing.TB, cfg template.Config) *template.Engine {
	t.Helper()
	engine, err := template.NewEngine(cfg)
	require.NoError(t, err)
	t.Cleanup(engine.Close)
	return engine
}

// strict stops everything soon, so that what is hostile ends quickly here.
var strict = template.Config{VMs: 1, Timeout: 100 * time.Millisecond, MemoryLimit: 32 << 20, MaxOutput: 1 << 20}

// alive fails the test unless the engine still renders. One that was just hit may
// be slow on a loaded machine, so it gets a few tries.
func alive(t *testing.T, engine *template.Engine) {
	t.Helper()
	require.Eventually(t, func() bool {
		out, err := engine.Render(t.Context(), "", template.Source{Text: "ok {{x}}"}, json.RawMessage(`{"x": 1}`))
		return err == nil && out.Text == "ok 1"
	}, time.Minute, time.Millisecond)
}

func list(item string, n int) string { return "[" + strings.Repeat(item+",", n-1) + item + "]" }

func requireFault(t testing.TB, err error, kind fault.Kind, code string) *fault.Error {
	t.Helper()
	f, ok := fault.As(err)
	require.True(t, ok, "not a fault: %v", err)
	require.Equal(t, code, f.Code, "%v", err)
	require.Equal(t, kind, f.Kind)
	return f
}

// renderHTML renders one HTML part without keeping it.
func renderHTML(t testing.TB, engine *template.Engine, source, vars string) string {
	t.Helper()
	out, err := engine.Render(t.Context(), "", template.Source{HTML: source}, json.RawMessage(vars))
	require.NoError(t, err)
	return out.HTML
}

// order is a mail as people write it: 20 lines, three parts, a list.
var order = template.Source{
	Subject: "Your order {{order.id}}",
	HTML: `<!doctype html>
<html>
<body style="font-family: sans-serif">
<h1>Thank you, {{name}}!</h1>
{{#if vip}}
<p>As a member since {{user.since}} you pay no shipping, {{user.title}} {{user.last}}.</p>
{{else}}
<p>Shipping is {{shipping}} {{currency}}.</p>
{{/if}}
<table>
{{#each items}}
<tr><td>{{@index}}</td><td>{{this.sku}}</td><td>{{title}}</td><td>{{../currency}} {{price}}</td></tr>
{{/each}}
</table>
<p>{{address.street}}, {{address.city}}</p>
<p><a href="{{url}}">Your order</a></p>
{{#unless paid}}<p>Please pay {{total}} {{currency}}.</p>{{/unless}}
</body>
</html>`,
	Text: `Thank you, {{name}}!
{{#each items}}
- {{title}}: {{price}} {{../currency}}
{{/each}}
{{url}}`,
}

const orderVariables = `{"name": "Ann <b>", "vip": true, "user": {"since": 2019, "title": "Dr", "last": "O'Hara"},
"order": {"id": "A-17"}, "currency": "EUR", "shipping": "4.90", "paid": false, "total": "59.00",
"url": "https://shop.example/orders?id=17&t=1", "address": {"street": "Main St 1", "city": "Köln"},
"items": [{"sku": "a1", "title": "Cup", "price": "9.00"}, {"sku": "b2", "title": "Pot & lid", "price": "20.00"},
{"sku": "c3", "title": "Tea", "price": "10.00"}, {"sku": "d4", "title": "茶", "price": "10.00"},
{"sku": "e5", "title": "Spoon", "price": "10.00"}]}`
