// Package smtpout hands one message at a time to a mail server that relays it (RFC 5321),
// over pooled connections. It reports facts: which answer came in which phase, or that none
// did. What they mean is for package outcome to say.
package smtpout

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// Security is how a connection is protected.
type Security string

// The kinds of protection.
const (
	None          Security = "none"
	Opportunistic Security = "opportunistic" // STARTTLS where the server offers it, without checking its certificate
	StartTLS      Security = "starttls"      // STARTTLS with a certificate that is checked, or nothing
	TLS           Security = "tls"           // TLS from the first byte
)

// Config of a relay. Zero values have the defaults that are named.
type Config struct {
	Host               string
	Port               int
	Security           Security // Opportunistic
	Username, Password string
	HELO               string         // the host's name
	MaxConns           int            // 16
	MaxPerConn         int            // messages over one connection; 1000
	ConnectTimeout     time.Duration  // 10 s
	CommandTimeout     time.Duration  // of one command and its answer; 60 s
	DataTimeout        time.Duration  // of the message, and of the answer to its final dot; 10 min (RFC 5321 §4.5.3.2.6)
	IdleTimeout        time.Duration  // a connection that is idle for longer is closed; 30 s
	RootCAs            *x509.CertPool // the system's
}

// ParseURL reads smtp://[user:password@]host[:port] or smtps://…, with the optional
// parameters security (none, opportunistic, starttls, tls), helo and maxConns. The port
// defaults to 25, or 465 for smtps. Errors never have the password in them.
func ParseURL(s string) (Config, error) {
	u, err := url.Parse(s)
	if err != nil {
		return Config{}, errors.New("not a URL of the form smtp://[user:password@]host[:port]")
	}
	if u.Fragment != "" || strings.ContainsAny(u.Path+u.RawQuery, "@") || (u.User == nil && strings.Contains(s, "@")) {
		return Config{}, errors.New("not a URL of the form smtp://[user:password@]host[:port]; / ? # @ of a password are %2F %3F %23 %40")
	}
	cfg := Config{Host: u.Hostname(), Username: u.User.Username(), Security: Opportunistic, Port: 25}
	cfg.Password, _ = u.User.Password()
	switch u.Scheme {
	case "smtp":
	case "smtps":
		cfg.Security, cfg.Port = TLS, 465
	default:
		return Config{}, fmt.Errorf("the scheme is %q; it must be smtp or smtps", u.Scheme)
	}
	if cfg.Host == "" {
		return Config{}, errors.New("the URL has no host")
	}
	if p := u.Port(); p != "" {
		if cfg.Port, err = strconv.Atoi(p); err != nil || cfg.Port < 1 || cfg.Port > 65535 {
			return Config{}, fmt.Errorf("the port %q is not a number from 1 to 65535", p)
		}
	}
	if u.Path != "" && u.Path != "/" {
		return Config{}, errors.New("the URL has a path")
	}
	return cfg, cfg.parameters(u.Query())
}

func (c *Config) parameters(query url.Values) error {
	for name, values := range query {
		value := values[0]
		switch name {
		case "security":
			c.Security = Security(value)
			if c.Security != None && c.Security != Opportunistic && c.Security != StartTLS && c.Security != TLS {
				return fmt.Errorf("security is %q; it must be none, opportunistic, starttls or tls", value)
			}
		case "helo":
			c.HELO = value
		case "maxConns":
			n, err := strconv.Atoi(value)
			if err != nil || n < 1 {
				return fmt.Errorf("maxConns is %q; it must be a number from 1", value)
			}
			c.MaxConns = n
		default:
			return fmt.Errorf("the parameter %q is not known", name)
		}
	}
	return nil
}

// withDefaults fills in what was not chosen, and refuses what would be unsafe.
func (c Config) withDefaults() (Config, error) {
	if c.Security == "" {
		c.Security = Opportunistic
	}
	encrypted := c.Security == StartTLS || c.Security == TLS
	if c.Username != "" && !encrypted && !loopback(c.Host) {
		return c, errors.New("a password would be sent in clear: use smtps:// or security=starttls")
	}
	if c.HELO == "" {
		c.HELO = "localhost"
		if name, err := os.Hostname(); err == nil && name != "" {
			c.HELO = name
		}
	}
	setDefault(&c.MaxConns, 16)
	setDefault(&c.MaxPerConn, 1000)
	setDefault(&c.ConnectTimeout, 10*time.Second)
	setDefault(&c.CommandTimeout, time.Minute)
	setDefault(&c.DataTimeout, 10*time.Minute)
	setDefault(&c.IdleTimeout, 30*time.Second)
	return c, nil
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}

// String names the relay without its password.
func (c Config) String() string {
	return fmt.Sprintf("%s (%s)", net.JoinHostPort(c.Host, strconv.Itoa(c.Port)), c.Security)
}
