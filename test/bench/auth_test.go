package bench

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/apiserver"
	"github.com/mailtura/mailtura/internal/apikey"
	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/tenant"
	"github.com/mailtura/mailtura/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// BenchmarkAuth measures what it costs to find out whose a request is, when its key and tenant
// are known: a request that ends in the first line behind that, against one that has no key and
// ends before. Both answer with a problem document, and neither asks the database.
func BenchmarkAuth(b *testing.B) {
	url := testkit.DatabaseURL(b)
	s, err := store.Open(b.Context(), store.Config{URL: url, MaxConns: 4})
	require.NoError(b, err)
	b.Cleanup(s.Close)
	_, err = s.CreateTenant(b.Context(), tenant.Tenant{ID: "acme-corp", Name: "acme-corp", Domain: "acme.com"})
	require.NoError(b, err)
	key := apikey.New(apikey.Tenant)
	_, err = s.CreateTenantKey(b.Context(), "acme-corp", store.NewKey{Name: "bench", Key: key})
	require.NoError(b, err)
	api := apiserver.New(apiserver.Config{Store: s, Remember: time.Hour})
	go api.Listen(b.Context())
	ask := func(authorization string, status int) {
		r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/api/v1/emails/no-id", nil)
		r.Header.Set("Authorization", authorization)
		w := httptest.NewRecorder()
		api.ServeHTTP(w, r)
		require.Equal(b, status, w.Code)
	}
	with, without := time.Duration(0), time.Duration(0)
	ask("Bearer "+key.Text(), http.StatusNotFound) // now it is known
	for b.Loop() {
		began := time.Now()
		ask("Bearer "+key.Text(), http.StatusNotFound)
		between := time.Now()
		ask("", http.StatusUnauthorized)
		with, without = with+between.Sub(began), without+time.Since(between)
	}
	us := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 / float64(b.N) }
	b.ReportMetric(us(with), "µs/request")
	b.ReportMetric(us(with-without), "µs/authenticate")
	b.ReportMetric(float64(with)/float64(without), "×without")
	b.ReportMetric(0, "ns/op")
}
