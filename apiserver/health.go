package apiserver

import (
	"context"
	"encoding/json"
	"net/http"
	"time"
)

// registerHealth adds the probes of an orchestrator; they need no key and are not part of the API.
func (s *Server) registerHealth() {
	s.router.Get("/healthz", func(w http.ResponseWriter, _ *http.Request) {
		writeHealth(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	s.router.Get("/readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 3*time.Second)
		defer cancel()
		// Without Temporal emails are still accepted, and sent when it is back: that is
		// said, but does not take the process out of service.
		status, answer := http.StatusOK, map[string]string{"status": "ok", "database": "ok", "temporal": "ok"}
		if s.Store.Ready(ctx) != nil {
			status, answer["status"], answer["database"] = http.StatusServiceUnavailable, "unavailable", "unavailable"
		}
		if s.Flow.Ready(ctx) != nil {
			answer["temporal"] = "unavailable"
		}
		writeHealth(w, status, answer)
	})
}

func writeHealth(w http.ResponseWriter, status int, answer map[string]string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer) // the client is gone if this fails
}
