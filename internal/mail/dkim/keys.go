package dkim

import (
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// Keys are keys by domain. A domain may have several: while they are changed, and one of
// each kind.
type Keys map[string][]Key

// ReadKeys reads the keys of a folder. Each is in a file that is named like its TXT record:
// s1._domainkey.acme.com.pem. Other files are left alone.
func ReadKeys(folder fs.FS) (Keys, error) {
	files, err := fs.Glob(folder, "*.pem")
	if err != nil {
		return nil, fmt.Errorf("list DKIM keys: %w", err)
	}
	keys := Keys{}
	for _, file := range files {
		selector, domain, ok := strings.Cut(strings.TrimSuffix(path.Base(file), ".pem"), "._domainkey.")
		if !ok || selector == "" || domain == "" {
			return nil, fmt.Errorf("DKIM key %s: a name like s1._domainkey.acme.com.pem says what it is for", file)
		}
		text, err := fs.ReadFile(folder, file)
		if err != nil {
			return nil, fmt.Errorf("read DKIM key: %w", err)
		}
		domain = strings.ToLower(domain)
		key, err := ParseKey(domain, selector, text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		keys[domain] = append(keys[domain], key)
	}
	return keys, nil
}

// Of are the keys of a domain, or of the nearest domain above it that has some: signatures
// of a parent are aligned with its subdomains (RFC 7489 §3.1.1).
func (k Keys) Of(domain string) []Key {
	for domain = strings.ToLower(domain); domain != ""; {
		if found := k[domain]; found != nil {
			return found
		}
		_, domain, _ = strings.Cut(domain, ".")
	}
	return nil
}
