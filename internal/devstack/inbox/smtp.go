package inbox

import (
	"crypto/sha256"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// newSMTP takes mail from anybody: it listens on this machine only.
func newSMTP(box *mailbox, maxBytes int64) *smtp.Server {
	s := smtp.NewServer(&backend{box: box, deferred: map[[32]byte]bool{}})
	s.Domain = "localhost"
	s.MaxMessageBytes = maxBytes
	s.MaxRecipients = 100
	s.AllowInsecureAuth = true
	s.EnableSMTPUTF8 = true
	s.ReadTimeout, s.WriteTimeout = 5*time.Minute, time.Minute
	return s
}

type backend struct {
	box *mailbox

	mu       sync.Mutex
	deferred map[[32]byte]bool // messages that +defer-once has refused once
}

func (b *backend) NewSession(*smtp.Conn) (smtp.Session, error) { return &session{backend: b}, nil }

type session struct {
	*backend
	from string
	to   []string
}

var _ smtp.AuthSession = (*session)(nil)

// AuthMechanisms are those that any password passes.
func (s *session) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, _, _ string) error { return nil }), nil
}

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	s.from = from
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	switch local, _, _ := strings.Cut(to, "@"); {
	case strings.HasSuffix(local, "+bounce"):
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "No such user (+bounce)"}
	case strings.HasSuffix(local, "+defer"):
		return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 7, 1}, Message: "Greylisted, try again later (+defer)"}
	}
	s.to = append(s.to, to)
	return nil
}

func (s *session) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	for _, to := range s.to {
		if local, _, _ := strings.Cut(to, "@"); strings.HasSuffix(local, "+defer-once") && s.firstTime(to, raw) {
			return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 7, 1}, Message: "Greylisted, try again later (+defer-once)"}
		}
	}
	return s.box.add(s.from, s.to, raw)
}

func (s *session) firstTime(to string, raw []byte) bool {
	key := sha256.Sum256(append([]byte(to+"\x00"), raw...))
	s.mu.Lock()
	defer s.mu.Unlock()
	first := !s.deferred[key]
	s.deferred[key] = true
	return first
}

func (s *session) Reset() { s.from, s.to = "", nil }

func (s *session) Logout() error { return nil }
