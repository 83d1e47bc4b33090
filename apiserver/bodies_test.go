package apiserver_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/apiserver"
)

// Bodies that have arrived and do not end take the room of large ones, never that of small ones.
func TestBodies_TakeNoMoreThanMemory(t *testing.T) {
	t.Parallel()
	s := newImpatient(t, apiserver.Patience{})
	const large = 26 << 20
	piece := strings.Repeat(" ", large-1)
	for range 4 {
		_, err := io.WriteString(s.dial(s.head(http.MethodPost, emailsPath, s.key, large)), piece)
		require.NoError(t, err)
	}
	var full answer
	require.Eventually(t, func() bool { // the others are being read
		conn := s.dial(s.head(http.MethodPost, emailsPath, s.key, large))
		go func() { _, _ = io.WriteString(conn, piece+" ") }()
		full = s.answer(conn)
		return full.Status == http.StatusServiceUnavailable
	}, 30*time.Second, 100*time.Millisecond)
	full.problem(http.StatusServiceUnavailable, "overloaded")
	require.Equal(t, "1", full.Header.Get("Retry-After"))

	body := `{"to":"a@example.com","subject":"Hi","text":"Hi"}`
	small := s.dial(s.head(http.MethodPost, emailsPath, s.key, len(body)) + body)
	require.Equal(t, http.StatusAccepted, s.answer(small).Status)
}
