package store

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
)

// audited is what the audit log has of a template: that its texts differ, not what they say.
func (t Template) audited() any {
	return map[string]any{
		"version": t.Version, "kind": t.Kind, "subject": digest(t.Source.Subject), "html": digest(t.Source.HTML),
		"mjml": digest(t.MJML), "text": digest(t.Source.Text), "variables": digest(t.schema()),
	}
}

// schema is the text of Variables, the same before it was stored and after.
func (t Template) schema() string {
	var v any
	if json.Unmarshal(t.Variables, &v) != nil { // there is none
		return ""
	}
	text, _ := json.Marshal(v) // it came from JSON
	return string(text)
}

// digest stands for a text; null for an empty one.
func digest(text string) any {
	if text == "" {
		return nil
	}
	return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(text)))
}
