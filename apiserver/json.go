package apiserver

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
)

// jsonFormats are huma's, but what is wrong with a body is said in the words of JSON instead
// of those of Go.
func jsonFormats() map[string]huma.Format {
	formats := maps.Clone(huma.DefaultFormats)
	for name, format := range formats {
		format.Unmarshal = unmarshal
		formats[name] = format
	}
	return formats
}

func unmarshal(data []byte, v any) error {
	return inPlainWords(data, json.Unmarshal(data, v))
}

// misplaced is something that is wrong at a place of a body.
type misplaced struct {
	path string // into the body; may be empty
	what string
}

// Error begins with the path, which atPath finds again: huma keeps texts only.
func (m misplaced) Error() string {
	if m.path == "" {
		return m.what
	}
	return "at " + m.path + ": " + m.what
}

var misplacedForm = regexp.MustCompile(`^at (\S+): (.*)$`)

// atPath gives the place and the rest of a misplaced's text.
func atPath(location, message string) (place, what string) {
	if found := misplacedForm.FindStringSubmatch(message); found != nil {
		return location + "." + found[1], found[2]
	}
	return location, message
}

func inPlainWords(data []byte, err error) error {
	if err == nil {
		return nil
	}
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return misplaced{what: brokenAt(data, syntax)}
	}
	var kind *json.UnmarshalTypeError
	if !errors.As(err, &kind) {
		return misplaced{what: "a value is not of the form that the reference gives"}
	}
	what, number, _ := strings.Cut(kind.Value, " ")
	if what == "number" {
		at := strings.LastIndex(string(data[:min(int(kind.Offset), len(data))]), number)
		return misplaced{kind.Field, fmt.Sprintf("the number %s (byte %d) does not fit here", number, at)}
	}
	return misplaced{kind.Field, what + " is not what belongs here"}
}

// brokenAt says where JSON is broken.
func brokenAt(data []byte, err *json.SyntaxError) string {
	at := int(err.Offset) - 1 // of the character that can not be there
	if strings.HasPrefix(err.Error(), "unexpected end") || at < 0 || at >= len(data) {
		return fmt.Sprintf("the JSON ends at byte %d, in the middle of a value", len(data))
	}
	before := data[:at]
	line := strings.Count(string(before), "\n") + 1
	column := utf8.RuneCount(before[strings.LastIndexByte(string(before), '\n')+1:]) + 1
	c, _ := utf8.DecodeRune(data[at:])
	return fmt.Sprintf("the JSON is broken at line %d, column %d (byte %d): %q can not be there", line, column, at, c)
}
