package apiserver

import (
	"net/url"

	"github.com/danielgtaylor/huma/v2"
)

// Workflow says where in Temporal something is done.
type Workflow struct {
	ID    string `json:"id" example:"send/acme-corp/dsp_01h455vb4pex5vsknk084sn02q"`
	RunID string `json:"runId,omitempty"`
	URL   string `json:"url,omitempty" doc:"In Temporal UI, where its address is configured"`
}

// workflow shows a run; without one it is not known yet which.
func (s *Server) workflow(workflowID, runID string) *Workflow {
	w := &Workflow{ID: workflowID, RunID: runID}
	if s.TemporalUI != "" {
		w.URL = s.TemporalUI + "/namespaces/" + url.PathEscape(s.Namespace) + "/workflows/" + url.PathEscape(workflowID)
		if runID != "" {
			w.URL += "/" + url.PathEscape(runID) + "/history"
		}
	}
	return w
}

// TransformSchema says that wherever there is a Workflow there may be null. A reference can not say it.
func (Workflow) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema { return orNull(s) }

func orNull(s *huma.Schema) *huma.Schema {
	s.Nullable = true
	return s
}
