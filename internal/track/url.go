package track

import (
	"fmt"
	"net/url"
	"strings"
)

// Where the endpoints are, below the base.
const (
	openPath  = "/t/o/"
	clickPath = "/t/c/"
)

// Base reads the public address of the installation, below which links and pictures are. It
// is written into HTML, and so has nothing that would have to be escaped there.
func Base(public string) (string, error) {
	u, err := url.Parse(public)
	plain := !strings.ContainsFunc(public, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune("\"'<>`&=\\", r) })
	if err != nil || !plain || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil || u.RawQuery+u.Fragment != "" {
		return "", fmt.Errorf("%q is not an address such as https://mail.example.com", public)
	}
	return strings.TrimRight(public, "/"), nil
}

// Location is an address as the header of that name has it: in ASCII.
func Location(address string) string {
	var b strings.Builder
	for i := range len(address) {
		if c := address[i]; c > ' ' && c < 0x7f {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
