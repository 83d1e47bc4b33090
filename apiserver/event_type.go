package apiserver

import (
	"github.com/danielgtaylor/huma/v2"

	"github.com/mailtura/mailtura/internal/event"
)

// EventType is what happened: one of event.Types.
type EventType string

// Schema lists them, in one place of the document.
func (EventType) Schema(r huma.Registry) *huma.Schema {
	const name = "EventType"
	if _, there := r.Map()[name]; !there {
		enum := make([]any, len(event.Types))
		for i, t := range event.Types {
			enum[i] = string(t)
		}
		r.Map()[name] = &huma.Schema{Type: huma.TypeString, Enum: enum}
		r.Map()[name].PrecomputeMessages()
	}
	return &huma.Schema{Ref: "#/components/schemas/" + name}
}

// EventTypes narrow the log of events.
type EventTypes struct {
	Type []EventType `query:"type" maxItems:"20" doc:"Only events of these types, separated by commas"`
}

func (t EventTypes) names() []string {
	names := make([]string, len(t.Type))
	for i, one := range t.Type {
		names[i] = string(one)
	}
	return names
}
