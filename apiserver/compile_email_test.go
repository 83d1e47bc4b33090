package apiserver_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/apiserver"
	"github.com/mailtura/mailtura/internal/tenant"
)

// addresses is a JSON list of n addresses.
func addresses(n int, prefix string) string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf(`"%s%d@example.com"`, prefix, i)
	}
	return "[" + strings.Join(list, ",") + "]"
}

// newCompiler is acme-corp with templates: greet prints user.name, typed has a schema, bare no subject.
func newCompiler(t *testing.T) (b *bundle, key string) {
	t.Helper()
	b, key = newAcme(t, tenant.Settings{})
	b.template(key, `{"name":"greet","subject":"Hi","text":"{{user.name}}"}`)
	b.template(key, `{"name":"typed","subject":"Hi","text":"{{n}}","variables":
		{"type":"object","required":["n"],"properties":{"n":{"type":"integer"}},"additionalProperties":false}}`)
	b.template(key, `{"name":"bare","text":"x"}`)
	return b, key
}

func TestSendEmail_Invalid(t *testing.T) {
	t.Parallel()
	b, key := newCompiler(t)
	const to, content = `"to":"a@example.com"`, `"subject":"Hi","text":"Hi"`
	const ok = to + `,` + content
	manyHeaders := make([]string, 51)
	for i := range manyHeaders {
		manyHeaders[i] = fmt.Sprintf(`"X-%d":"1"`, i)
	}
	for members, want := range map[string][]string{
		// recipients
		content:              {"body required"},
		`"to":[],` + content: {"body.to bad_length"},
		`"to":5,` + content:  {"body.to invalid_value"},
		`"to":"",` + content: {"body.to[0] invalid_address"},
		`"to":["a@example.com","nonsense"],"cc":["@"],"bcc":["b@1.2.3.4"],` + content: {
			"body.to[1] invalid_address", "body.cc[0] invalid_address", "body.bcc[0] invalid_address",
		},
		`"to":"A\r\nBcc: x@y.zz <a@example.com>",` + content: {"body.to[0] header_injection"},
		`"to":"a@example.com\u0000",` + content:              {"body.to[0] header_injection"},
		`"to":["a@example.com","A <a@EXAMPLE.com>"],"bcc":["a@example.com"],` + content: {
			"body.to[1] duplicate_recipient", "body.bcc[0] duplicate_recipient",
		},
		`"to":` + addresses(40, "t") + `,"cc":` + addresses(11, "c") + `,` + content: {"body.to too_many_recipients"},
		`"to":` + addresses(51, "t") + `,` + content:                                 {"body.to bad_length"},
		ok + `,"cc":` + addresses(51, "c"):                                           {"body.cc bad_length"},
		// sender
		ok + `,"from":"nonsense"`:                         {"body.from invalid_address"},
		ok + `,"from":"ceo@bank.example"`:                 {"body.from sender_domain_not_allowed"},
		ok + `,"from":"a@sub.acme.com"`:                   {"body.from sender_domain_not_allowed"},
		ok + `,"from":"A\nBcc: b@c.example <a@acme.com>"`: {"body.from header_injection"},
		ok + `,"fromName":"A\r\nBcc: b@example.com"`:      {"body.fromName header_injection"},
		ok + `,"replyTo":"nonsense"`:                      {"body.replyTo invalid_address"},
		ok + `,"replyTo":"a@example.com\r\nX: y"`:         {"body.replyTo header_injection"},
		// labels
		ok + `,"tags":["fine"," ","` + strings.Repeat("x", 65) + `","a\tb"]`: {
			"body.tags[1] invalid_tag", "body.tags[2] invalid_tag", "body.tags[3] invalid_tag",
		},
		ok + `,"metadata":{"a":"` + strings.Repeat("x", 8<<10) + `"}`: {"body.metadata too_large"},
		ok + `,"metadata":{"a":"\u0000"}`:                             {"body.metadata invalid_character"},
		ok + `,"metadata":[]`:                                         {"body.metadata invalid_value"},
		// headers
		ok + `,"headers":{"X-A":"b\r\nBcc: c@example.com"}`:          {"body.headers.X-A header_injection"},
		ok + `,"headers":{"DKIM-Signature":"x","content-type":"x"}`:  {"body.headers.DKIM-Signature refused_header", "body.headers.content-type refused_header"},
		ok + `,"headers":{"X A":"1"}`:                                {"body.headers.X A invalid_header_name"},
		ok + `,"headers":{"X-A":"` + strings.Repeat("x", 999) + `"}`: {"body.headers.X-A header_too_long"},
		ok + `,"headers":{` + strings.Join(manyHeaders, ",") + `}`:   {"body.headers too_many_headers"},
		ok + `,"headers":{"X-A":5}`:                                  {"body.headers.X-A invalid_value"},
		// attachments
		ok + `,"attachments":[{"filename":"a","content":"%%%"}]`:   {"body.attachments[0].content invalid_value"},
		ok + `,"attachments":[{"filename":"","content":""}]`:       {"body.attachments[0].filename bad_length"},
		ok + `,"attachments":[{"filename":"a\r\nb","content":""}]`: {"body.attachments[0].filename header_injection"},
		ok + `,"attachments":[{"filename":"a","content":"","contentType":"pdf"},{"filename":"a","content":"","contentId":"a b"}]`: {
			"body.attachments[0].contentType invalid_content_type", "body.attachments[1].contentId invalid_content_id",
		},
		ok + `,"attachments":[{"filename":"a","content":"","contentType":"text/plain;\r\nX: y"}]`: {"body.attachments[0].contentType invalid_content_type"},
		ok + `,"attachments":[{"filename":"a"}]`:                                                  {"body.attachments[0] required"},
		// content
		to + `,"text":"Hi"`:    {"body.subject required"},
		to + `,"subject":"Hi"`: {"body required"},
		to:                     {"body required"},
		to + `,"subject":"Hi\r\nBcc: b@example.com","text":"Hi"`: {"body.subject header_injection"},
		to + `,"subject":"Hi","text":"a\u0000b"`:                 {"body.text invalid_character"},
		to + `,"subject":"Hi","html":"\u0000"`:                   {"body.html invalid_character"},
		ok + `,"sbject":"x"`:                                     {"body.sbject unknown_field"},
		ok + `,"Subject":"x"`:                                    {"body.Subject unknown_field"},
		// variables and templates
		ok + `,"variables":{"a":"` + strings.Repeat("x", 64<<10) + `"}`:    {"body.variables too_large"},
		ok + `,"variables":{"a":"\u0000"}`:                                 {"body.variables invalid_character"},
		to + `,"subject":"{{#if x}}","text":"{{a}}","variables":{}`:        {"body.subject invalid_template"},
		to + `,"subject":"{{a}}","html":"{{b.c}}","variables":{"a":null}`:  {"body.variables.a missing_variable", "body.variables.b missing_variable"},
		to + `,"template":"nope"`:                                          {"body.template template_not_found"},
		ok + `,"template":"greet"`:                                         {"body.template template_and_content"},
		to + `,"template":"bare"`:                                          {"body.subject required"},
		to + `,"template":"greet"`:                                         {"body.variables.user missing_variable"},
		to + `,"template":"greet","variables":{"name":"Ada"}`:              {"body.variables.user missing_variable"},
		to + `,"template":"typed"`:                                         {"body.variables.n missing_variable"},
		to + `,"template":"typed","variables":{"n":"1"}`:                   {"body.variables.n invalid_variable"},
		to + `,"template":"typed","variables":{"n":1,"m":2}`:               {"body.variables.m invalid_variable"},
		to + `,"template":"typed","subject":"{{","variables":{"n":1}`:      {"body.subject invalid_template"},
		to + `,"template":"typed","subject":"{{who}}","variables":{"n":1}`: {"body.variables.who missing_variable"},
	} {
		t.Run(want[0], func(t *testing.T) {
			t.Parallel()
			a := b.ask(http.MethodPost, emailsPath, key, "{"+members+"}")
			require.Equal(t, want, a.fields(http.StatusUnprocessableEntity, "validation_failed"), members)
			require.Contains(t, read[apiserver.Problem](a).Detail, fmt.Sprintf("%d invalid value", len(want)))
		})
	}
	t.Cleanup(func() { require.Empty(t, b.pending(), "nothing of it was accepted") })
}

// Everything that the caller can do something about is said at once.
func TestSendEmail_SaysEverythingThatIsWrong(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	key := b.tenant(acme, tenant.Settings{}) // has no fromEmail
	require.Equal(t, []string{
		"body.from required", "body.fromName header_injection", "body.to[0] invalid_address", "body.tags[0] invalid_tag",
		"body.headers.From refused_header", "body.attachments[0].filename header_injection", "body.subject header_injection", "body required",
	}, b.ask(http.MethodPost, emailsPath, key, `{"to":"x","fromName":"\n","tags":[""],"headers":{"From":"x"},
		"attachments":[{"filename":"\n","content":""}],"subject":"\n"}`).fields(422, "validation_failed"))
}

func TestSendEmail_JustWithinTheLimits(t *testing.T) {
	t.Parallel()
	b, key := newCompiler(t)
	headers := make([]string, 50)
	for i := range headers {
		headers[i] = fmt.Sprintf(`"X-%d":"1"`, i)
	}
	for _, members := range []string{
		`"to":` + addresses(50, "t"),
		`"to":` + addresses(48, "t") + `,"cc":["c@example.com"],"bcc":["b@example.com"]`,
		`"to":["A@example.com","a@example.com"]`, // local parts are the receiving side's business (RFC 5321 §2.4)
		`"to":"a@example.com","headers":{` + strings.Join(headers, ",") + `}`,
		`"to":"a@example.com","tags":["` + strings.Repeat("ü", 64) + `"]`,
		`"to":"a@example.com","metadata":{"a":"` + strings.Repeat("x", 8<<10-8) + `"}`,
		`"to":"a@example.com","variables":{"a":"` + strings.Repeat("x", 64<<10-8) + `"}`,
		`"to":"a@example.com","metadata":{},"variables":{},"tags":[],"headers":{},"attachments":[]`,
	} {
		require.Equal(t, "queued", b.post(key, `{"subject":"Hi","text":"Hi",`+members+`}`).Status)
	}
	for _, content := range []string{
		`"template":"bare","subject":"Hi"`,
		`"template":"typed","variables":{"n":1},"subject":"{{n}}"`,
		`"template":"greet","variables":{"user":{}}`,
		`"subject":"{{ not read","text":"{{ as it is"`, // without variables nothing is Handlebars
	} {
		require.Equal(t, "queued", b.post(key, `{"to":"a@example.com",`+content+`}`).Status)
	}
}
