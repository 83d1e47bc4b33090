package template

import (
	"encoding/json"
	"fmt"

	"github.com/mailtura/mailtura/internal/fault"
)

// variablesLocation is where the variables stand in a request.
const variablesLocation = "body.variables"

// MissingVariables gives one Field for each required variable that vars, a JSON
// object, has not. A variable that is null counts as missing: it prints nothing. Vars
// that are not a JSON object have no variables. required is [Analysis].Required.
//
// It takes no virtual machine and reads only the top level of vars.
func MissingVariables(required []string, vars json.RawMessage) []fault.Field {
	if len(required) == 0 {
		return nil
	}
	var given map[string]json.RawMessage
	_ = json.Unmarshal(vars, &given) // what can not be read gives nothing
	var missing []fault.Field
	for _, name := range required {
		if value, ok := given[name]; ok && string(value) != "null" {
			continue
		}
		missing = append(missing, missingField(variablesLocation+"."+name, name))
	}
	return missing
}

func missingField(location, name string) fault.Field {
	return fault.Field{
		Location: location,
		Message:  fmt.Sprintf("the variable %q is missing", name),
		Code:     "missing_variable",
	}
}
