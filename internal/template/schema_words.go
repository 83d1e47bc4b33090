package template

import (
	"fmt"
	"math/big"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// messageOf is what an error says to a person. Values of the variables are not
// repeated: they may be secrets.
func messageOf(k jsonschema.ErrorKind) string {
	switch k := k.(type) {
	case *kind.Type:
		return fmt.Sprintf("must be %s, is %s", article(k.Want), article([]string{k.Got}))
	case *kind.Enum:
		return "must be one of " + oneOf(k.Want)
	case *kind.Const:
		return "must be " + allowedValue(k.Want)
	case *kind.Format:
		if k.Want == "regex" {
			return "must be a regular expression in RE2 syntax that is not too large"
		}
		return fmt.Sprintf("must be a valid %s", k.Want)
	case *kind.Pattern:
		return fmt.Sprintf("must match the pattern %s", k.Want)
	case *kind.UniqueItems:
		return fmt.Sprintf("items %d and %d are equal", k.Duplicates[0], k.Duplicates[1])
	case *kind.Contains:
		return "must contain an item of a certain kind, has none"
	case *kind.AnyOf:
		return "fits none of the allowed alternatives"
	case *kind.OneOf:
		if len(k.Subschemas) > 0 {
			return "fits more than one of the alternatives, only one may fit"
		}
		return "fits none of the allowed alternatives"
	case *kind.Not, *kind.FalseSchema:
		return "is not allowed"
	}
	if size, ok := sizeMessage(k); ok {
		return size
	}
	return k.LocalizedString(message.NewPrinter(language.English))
}

// sizeMessage is for the keywords that compare a number.
func sizeMessage(k jsonschema.ErrorKind) (string, bool) {
	switch k := k.(type) {
	case *kind.MinLength:
		return fmt.Sprintf("must have at least %d character(s), has %d", k.Want, k.Got), true
	case *kind.MaxLength:
		return fmt.Sprintf("must have at most %d character(s), has %d", k.Want, k.Got), true
	case *kind.MinItems:
		return fmt.Sprintf("must have at least %d item(s), has %d", k.Want, k.Got), true
	case *kind.MaxItems:
		return fmt.Sprintf("must have at most %d item(s), has %d", k.Want, k.Got), true
	case *kind.MinProperties:
		return fmt.Sprintf("must have at least %d member(s), has %d", k.Want, k.Got), true
	case *kind.MaxProperties:
		return fmt.Sprintf("must have at most %d member(s), has %d", k.Want, k.Got), true
	case *kind.MinContains:
		return fmt.Sprintf("must contain at least %d item(s) of a certain kind, has %d", k.Want, len(k.Got)), true
	case *kind.MaxContains:
		return fmt.Sprintf("must contain at most %d item(s) of a certain kind, has %d", k.Want, len(k.Got)), true
	case *kind.Minimum:
		return "must be at least " + number(k.Want), true
	case *kind.Maximum:
		return "must be at most " + number(k.Want), true
	case *kind.ExclusiveMinimum:
		return "must be more than " + number(k.Want), true
	case *kind.ExclusiveMaximum:
		return "must be less than " + number(k.Want), true
	case *kind.MultipleOf:
		return "must be a multiple of " + number(k.Want), true
	}
	return "", false
}

func number(r *big.Rat) string {
	f, _ := r.Float64()
	return fmt.Sprint(f)
}

// article writes JSON types as in "a string or null".
func article(types []string) string {
	words := make([]string, len(types))
	for i, name := range types {
		switch name {
		case "null":
			words[i] = name
		case "array", "object", "integer":
			words[i] = "an " + name
		default:
			words[i] = "a " + name
		}
	}
	return strings.Join(words, " or ")
}

// oneOf writes the values that a schema allows, the first ten of them.
func oneOf(values []any) string {
	var words []string
	for i, value := range values {
		if i == 10 {
			words = append(words, "…")
			break
		}
		words = append(words, allowedValue(value))
	}
	return strings.Join(words, ", ")
}

func allowedValue(value any) string {
	switch value := value.(type) {
	case string:
		return fmt.Sprintf("%q", value)
	case map[string]any:
		return "an object"
	case []any:
		return "a list"
	case nil:
		return "null"
	default:
		return fmt.Sprint(value)
	}
}
