package template

import (
	"fmt"
	"regexp"
	"regexp/syntax"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// What one check of variables may cost. The library can not be stopped and builds
// about half a kilobyte of error for each violation, so the work is counted before it
// is done: about 3 µs and 500 bytes for each unit, a third of a second at the worst.
// A list of 2,000 lines with 10 fields each costs 25,000.
const maxCheckCost = 100_000

const maxPatternSize = 5000 // instructions of one regular expression

// pattern is a compiled regular expression that knows how large it is: a match can
// take (size × bytes of the text) steps.
type pattern struct {
	*regexp.Regexp
	size int
}

// compilePattern is the library's way to regular expressions: RE2, which needs no
// more than linear time.
func compilePattern(source string) (jsonschema.Regexp, error) {
	compiled, err := regexp.Compile(source)
	if err != nil {
		return nil, err
	}
	parsed, err := syntax.Parse(source, syntax.Perl)
	if err != nil {
		return nil, err
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return nil, err
	}
	if len(program.Inst) > maxPatternSize {
		return nil, fmt.Errorf("it is too large: %d instructions, at most %d are allowed", len(program.Inst), maxPatternSize)
	}
	return pattern{compiled, len(program.Inst)}, nil
}

// checkCost walks a schema along a value like a validator that never gives up
// early, and only counts.
type checkCost struct{ left int }

// spend counts value, which is depth levels down, against s and all that s applies to it.
func (c *checkCost) spend(s *jsonschema.Schema, value any, depth int) {
	if s == nil || c.left < 0 {
		return
	}
	c.left -= 1 + size(value)/32 + depth/16 + (len(s.Required)+enumSize(s))/16
	for _, same := range inPlace(s) {
		c.spend(same, value, depth)
	}
	switch value := value.(type) {
	case map[string]any:
		c.spendObject(s, value, depth)
	case []any:
		c.spendArray(s, value, depth)
	case string:
		c.match(s.Pattern, value)
	}
}

func (c *checkCost) spendObject(s *jsonschema.Schema, object map[string]any, depth int) {
	additional, _ := s.AdditionalProperties.(*jsonschema.Schema)
	for name, value := range object {
		if c.left < 0 {
			return
		}
		c.spend(s.Properties[name], value, depth+1)
		for re, matching := range s.PatternProperties {
			c.match(re, name)
			c.spend(matching, value, depth+1)
		}
		c.spend(additional, value, depth+1)
		c.spend(s.UnevaluatedProperties, value, depth+1)
		c.spend(s.PropertyNames, name, depth+1)
	}
}

func (c *checkCost) spendArray(s *jsonschema.Schema, array []any, depth int) {
	for i, value := range array {
		if c.left < 0 {
			return
		}
		if i < len(s.PrefixItems) {
			c.spend(s.PrefixItems[i], value, depth+1)
		} else {
			c.spend(s.Items2020, value, depth+1)
		}
		c.spend(s.Contains, value, depth+1)
		c.spend(s.UnevaluatedItems, value, depth+1)
	}
}

func (c *checkCost) match(re jsonschema.Regexp, text string) {
	if p, ok := re.(pattern); ok {
		c.left -= p.size * len(text) / 256
	}
}

// inPlace are the subschemas that a schema applies to the same value.
func inPlace(s *jsonschema.Schema) []*jsonschema.Schema {
	all := []*jsonschema.Schema{s.Ref, s.Not, s.If, s.Then, s.Else}
	for _, some := range [][]*jsonschema.Schema{s.AllOf, s.AnyOf, s.OneOf} {
		all = append(all, some...)
	}
	for _, dependent := range s.DependentSchemas {
		all = append(all, dependent)
	}
	for _, dependency := range s.Dependencies {
		if dependent, ok := dependency.(*jsonschema.Schema); ok {
			all = append(all, dependent)
		}
	}
	return all
}

func enumSize(s *jsonschema.Schema) int {
	if s.Enum == nil {
		return 0
	}
	return len(s.Enum.Values)
}

// size is the length of what is not a scalar.
func size(value any) int {
	switch value := value.(type) {
	case string:
		return len(value)
	case []any:
		return len(value)
	case map[string]any:
		return len(value)
	}
	return 0
}
