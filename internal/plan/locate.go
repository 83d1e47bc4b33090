package plan

import (
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/mailtura/mailtura/internal/fault"
)

// quotaFields are the settings that a file has below quotas.
var quotaFields = map[string]bool{"dailyLimit": true, "rateLimit": true, "rateLimitPer": true, "burst": true, "overLimit": true}

// locate turns what is wrong with a tenant into an error that names line and column of
// each value, as the YAML errors do.
func locate(text []byte, index int, err error) error {
	f, ok := fault.As(err)
	if !ok || len(f.Fields) == 0 {
		return err
	}
	var all error
	for _, field := range f.Fields {
		all = errors.Join(all, fmt.Errorf("%s %s: %s", position(text, index, field.Location), key(field.Location), field.Message))
	}
	return all
}

// key is the place of a setting in the file: "body.settings.dailyLimit" → "quotas.dailyLimit".
func key(location string) string {
	if _, name, found := strings.Cut(location, ".tracking."); found {
		return "tracking." + name
	}
	name := location[strings.LastIndexByte(location, '.')+1:]
	if quotaFields[name] {
		return "quotas." + name
	}
	return name
}

// position is "[line:column]" of a setting, or of its tenant where the setting is absent.
func position(text []byte, index int, location string) string {
	for _, at := range []string{
		fmt.Sprintf("$.tenants[%d].%s", index, key(location)),
		fmt.Sprintf("$.tenants[%d]", index),
	} {
		path, err := yaml.PathString(at)
		if err != nil {
			continue
		}
		node, err := path.ReadNode(strings.NewReader(string(text)))
		if err == nil && node != nil && node.GetToken() != nil {
			p := node.GetToken().Position
			return fmt.Sprintf("[%d:%d]", p.Line, p.Column)
		}
	}
	return "[1:1]"
}
