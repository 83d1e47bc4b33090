package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	mailtura "github.com/mailtura/mailtura/clients/go"
)

// addDomain makes a domain of a tenant.
func addDomain(t *testing.T, c *mailtura.ClientWithResponses, name string) *mailtura.Domain {
	t.Helper()
	made, err := c.CreateDomainWithResponse(t.Context(), nil, mailtura.CreateDomain{Name: name})
	require.NoError(t, err)
	require.Equal(t, http.StatusCreated, made.StatusCode(), string(made.Body))
	return made.JSON201
}

// publish has the DNS say what a domain asks for.
func publish(t *testing.T, d *mailtura.Domain) {
	t.Helper()
	for _, r := range d.Records {
		if r.Required || r.Status == "missing" && r.Value != "" {
			require.NoError(t, shared.DNS.Publish(string(r.Type), r.Name, r.Value))
		}
	}
}

func withdraw(d *mailtura.Domain) {
	for _, r := range d.Records {
		if r.Required {
			shared.DNS.Withdraw(string(r.Type), r.Name)
		}
	}
}

func verify(t *testing.T, c *mailtura.ClientWithResponses, name string) *mailtura.Domain {
	t.Helper()
	looked, err := c.VerifyDomainWithResponse(t.Context(), name, nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, looked.StatusCode(), string(looked.Body))
	return looked.JSON200
}

func removeDomain(t *testing.T, c *mailtura.ClientWithResponses, name string) {
	t.Helper()
	gone, err := c.DeleteDomainWithResponse(t.Context(), name, nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusNoContent, gone.StatusCode(), string(gone.Body))
}

// newDomainName is a name that no other test has.
func newDomainName(t *testing.T) string {
	t.Helper()
	return strings.SplitN(address(t, "x"), "@", 2)[1]
}

// A domain that is published is verified; what is sent from it is signed with both of its keys,
// which somebody else's program verifies; when its records are gone its tenant is warned.
func TestDomains_FromRecordToSignature(t *testing.T) {
	t.Parallel()
	_, c := shared.newTenant(t, mailtura.Settings{})
	hook := newEndpoint(t, good)
	hook.register(t, c, "domain.*")
	name := newDomainName(t)
	d := addDomain(t, c, name)
	from := "news@" + name
	mail := mailtura.SendEmail{From: &from, To: to(address(t, "ada")), Subject: ptr("Grüße"), Html: ptr("<p>Hello</p>"), Text: ptr("Hello\n\n")}
	early, err := c.SendEmailWithResponse(t.Context(), nil, mail)
	require.NoError(t, err)
	require.Equal(t, http.StatusUnprocessableEntity, early.StatusCode(), string(early.Body))
	require.Contains(t, string(early.Body), "sender_domain_not_allowed")

	publish(t, d)
	verified := verify(t, c, name)
	require.Equal(t, "verified", string(verified.Status))
	ada := address(t, "ada")
	mail.To = to(ada)
	awaitStatus(t, c, send(t, c, mail).Id, "sent", 30*time.Second)
	raw := []byte(shared.source(t, shared.await(t, ada, 1, 30*time.Second)[0].ID))
	require.Equal(t, []string{"rsa-sha256 True", "ed25519-sha256 True"}, judgeSignatures(t, raw, verified))
	changed := bytes.Replace(raw, []byte("Hello"), []byte("Hallo"), 1)
	require.Equal(t, []string{"rsa-sha256 False", "ed25519-sha256 False"}, judgeSignatures(t, changed, verified))
	second := append([]byte("From: eve@"+name+"\r\n"), raw...)
	require.Equal(t, []string{"rsa-sha256 False", "ed25519-sha256 False"}, judgeSignatures(t, second, verified), "no From can be added")

	withdraw(d)
	require.Equal(t, "failing", string(verify(t, c, name).Status))
	told := map[string]mailtura.EventData{} // calls are made several at a time
	for _, call := range hook.await(t, 2) {
		told[string(call.Event.Type)] = call.Event.Data
	}
	require.Equal(t, name, *told["domain.verified"].Domain)
	require.Equal(t, name, *told["domain.failing"].Domain)
	require.Len(t, *told["domain.failing"].Missing, 2)
	require.WithinDuration(t, time.Now().Add(72*time.Hour), *told["domain.failing"].LostAt, time.Hour)
	send(t, c, mail) // it is warned first

	removeDomain(t, c, name)
	late, err := c.SendEmailWithResponse(t.Context(), nil, mail)
	require.NoError(t, err)
	require.Equal(t, http.StatusUnprocessableEntity, late.StatusCode(), string(late.Body))
	require.Eventually(t, func() bool { return ended(t, d.Workflow.Id) }, 20*time.Second, 50*time.Millisecond)
}

// Nobody has to ask: the workflow of a domain looks by itself, and so after a rotation.
func TestDomains_AreWatched(t *testing.T) {
	t.Parallel()
	tenant, c := shared.newTenant(t, mailtura.Settings{})
	name := newDomainName(t)
	d := addDomain(t, c, name)
	publish(t, d)
	now := func() *mailtura.Domain {
		got, err := c.GetDomainWithResponse(t.Context(), name, nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, got.StatusCode(), string(got.Body))
		return got.JSON200
	}
	// It has looked at once, and found nothing or, when it was late, all.
	require.Eventually(t, func() bool { return now().CheckedAt != nil }, 30*time.Second, 50*time.Millisecond)
	verify(t, c, name)
	require.Equal(t, "verified", string(now().Status))
	rotated, err := c.RotateDomainKeysWithResponse(t.Context(), name, nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, rotated.StatusCode(), string(rotated.Body))
	require.Len(t, rotated.JSON200.Selectors, 4)
	require.Equal(t, "pending", string(rotated.JSON200.Selectors[0].Status))

	deletion := shared.remove(t, tenant, "")
	shared.awaitDeleted(t, deletion.Id, map[string]int64{"domains": 1, "domain_keys": 4})
	require.True(t, ended(t, d.Workflow.Id))
}

// judge has dkimpy verify each signature of a message against records.
const judge = `
import base64, dkim, json, sys
ask = json.load(sys.stdin)
msg = base64.b64decode(ask["message"])
records = {(name + ".").encode(): text.encode() for name, text in ask["records"].items()}
d = dkim.DKIM(msg)
for i in range(sum(1 for name, _ in d.headers if name.lower() == b"dkim-signature")):
    one = dkim.DKIM(msg)
    try:
        good = one.verify(idx=i, dnsfunc=lambda name, timeout=5: records.get(name))
    except dkim.ValidationError: # a body that was changed
        good = False
    print(one.signature_fields[b"a"].decode(), good)
`

// judgeSignatures says what another implementation of DKIM makes of the signatures of a message, for
// whom a domain's records are in the DNS.
func judgeSignatures(t *testing.T, message []byte, d *mailtura.Domain) []string {
	t.Helper()
	records := map[string]string{}
	for _, r := range d.Records {
		if r.Purpose == "dkim" {
			records[r.Name] = r.Value
		}
	}
	ask, err := json.Marshal(map[string]any{"message": message, "records": records})
	require.NoError(t, err)
	var trouble bytes.Buffer
	for _, python := range []string{"python3", "/usr/bin/python3"} {
		cmd := exec.CommandContext(t.Context(), python, "-c", judge)
		cmd.Stdin, cmd.Stderr = bytes.NewReader(ask), &trouble
		out, err := cmd.Output()
		if err == nil {
			return strings.Split(strings.TrimSpace(string(out)), "\n")
		}
		fmt.Fprint(&trouble, err)
	}
	require.Fail(t, "dkimpy has not verified (scripts/setup.sh dkim)", trouble.String())
	return nil
}
