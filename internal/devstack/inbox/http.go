package inbox

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"mime"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
)

//go:embed page
var page embed.FS

const (
	// pagePolicy lets the page load from here only.
	pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
		"frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	// mailPolicy is for the HTML of a mail, which is anybody's: nothing runs, nothing is
	// loaded from elsewhere unless images are asked for, and it is of no origin.
	mailPolicy = "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; style-src 'unsafe-inline'; " +
		"font-src data:; img-src 'self' data:%s; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)

type handler struct {
	box      *mailbox
	smtpAddr string
}

func newHandler(box *mailbox, smtpAddr, httpAddr string) http.Handler {
	h := &handler{box: box, smtpAddr: smtpAddr}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/messages", h.list)
	mux.HandleFunc("DELETE /api/v1/messages", h.clear)
	mux.HandleFunc("GET /api/v1/messages/{id}", h.get)
	mux.HandleFunc("GET /api/v1/messages/{id}/source", h.source)
	mux.HandleFunc("GET /api/v1/messages/{id}/html", h.html)
	mux.HandleFunc("GET /api/v1/messages/{id}/attachments/{n}", h.attachment)
	mux.HandleFunc("GET /api/v1/stream", h.stream)
	files, _ := fs.Sub(page, "page") // the name is a constant
	mux.Handle("GET /", withPolicy(http.FileServerFS(files)))
	return guardHost(httpAddr, http.NewCrossOriginProtection().Handler(mux))
}

// guardHost refuses requests under another name than this machine's: a page on the
// internet could otherwise read the mail by DNS rebinding.
func guardHost(httpAddr string, next http.Handler) http.Handler {
	own, _, _ := net.SplitHostPort(httpAddr)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		if ip := net.ParseIP(host); host != "localhost" && host != own && (ip == nil || !ip.IsLoopback()) {
			problem(w, http.StatusMisdirectedRequest, "the inbox is only on this machine")
			return
		}
		next.ServeHTTP(w, r)
	})
}

func withPolicy(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", pagePolicy)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Referrer-Policy", "no-referrer")
		next.ServeHTTP(w, r)
	})
}

func (h *handler) list(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	limit, err := strconv.Atoi(query.Get("limit"))
	if query.Get("limit") == "" {
		limit, err = 50, nil
	}
	if err != nil || limit < 1 || limit > 1000 {
		problem(w, http.StatusBadRequest, "limit must be a number from 1 to 1000")
		return
	}
	to, subject := strings.ToLower(query.Get("to")), strings.ToLower(query.Get("subject"))
	items, total, next := h.box.list(func(s summary) bool {
		return strings.Contains(strings.ToLower(strings.Join(s.To, " ")), to) && strings.Contains(strings.ToLower(s.Subject), subject)
	}, query.Get("after"), limit)
	answer := map[string]any{"items": items, "total": total, "nextCursor": nil, "smtp": h.smtpAddr}
	if next != "" {
		answer["nextCursor"] = next
	}
	write(w, answer)
}

func (h *handler) clear(w http.ResponseWriter, _ *http.Request) {
	h.box.clear()
	w.WriteHeader(http.StatusNoContent)
}

// message finds and reads the message of a request, or answers that there is none.
func (h *handler) message(w http.ResponseWriter, r *http.Request) (message, bool) {
	s, raw, err := h.box.get(r.PathValue("id"))
	if err != nil {
		problem(w, http.StatusNotFound, err.Error())
		return message{}, false
	}
	m, err := parse(s, raw)
	if err != nil {
		problem(w, http.StatusUnprocessableEntity, "the message can not be read; look at its source")
		return message{}, false
	}
	return m, true
}

func (h *handler) get(w http.ResponseWriter, r *http.Request) {
	if m, ok := h.message(w, r); ok {
		write(w, m)
	}
}

func (h *handler) source(w http.ResponseWriter, r *http.Request) {
	_, raw, err := h.box.get(r.PathValue("id"))
	if err != nil {
		problem(w, http.StatusNotFound, err.Error())
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(raw)
}

var contentID = regexp.MustCompile(`(?i)cid:([^"'\s)>]+)`)

// html is the mail's HTML with its inline images.
func (h *handler) html(w http.ResponseWriter, r *http.Request) {
	m, ok := h.message(w, r)
	if !ok {
		return
	}
	html := contentID.ReplaceAllStringFunc(m.HTML, func(ref string) string {
		for n, file := range m.Files {
			if file.ContentID != "" && strings.EqualFold(file.ContentID, ref[len("cid:"):]) {
				return fmt.Sprintf("/api/v1/messages/%s/attachments/%d", m.ID, n)
			}
		}
		return ref
	})
	remote := ""
	if r.URL.Query().Get("images") == "remote" {
		remote = " https: http:"
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", fmt.Sprintf(mailPolicy, remote))
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Referrer-Policy", "no-referrer")
	_, _ = w.Write([]byte(html + newTab))
}

// newTab, wherever it is in a page, has links that name no target open beside the inbox, in
// whose frame they may not.
const newTab = `<base target="_blank">`

func (h *handler) attachment(w http.ResponseWriter, r *http.Request) {
	m, ok := h.message(w, r)
	if !ok {
		return
	}
	n, err := strconv.Atoi(r.PathValue("n"))
	if err != nil || n < 0 || n >= len(m.Files) {
		problem(w, http.StatusNotFound, "the message has no such attachment")
		return
	}
	file := m.Files[n]
	disposition := "attachment"
	contentType := "application/octet-stream"
	if image(file.ContentType) {
		disposition, contentType = "inline", file.ContentType
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Disposition", mime.FormatMediaType(disposition, map[string]string{"filename": file.Filename}))
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; sandbox")
	_, _ = w.Write(file.content)
}

// image reports whether a file may be shown: kinds that can carry no script.
func image(contentType string) bool {
	switch contentType {
	case "image/png", "image/jpeg", "image/gif", "image/webp":
		return true
	}
	return false
}

// stream tells of new messages by server-sent events.
func (h *handler) stream(w http.ResponseWriter, r *http.Request) {
	messages, stop := h.box.watch()
	defer stop()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	control := http.NewResponseController(w)
	_ = control.Flush()
	for {
		select {
		case s, ok := <-messages:
			if !ok {
				return
			}
			raw, err := json.Marshal(s)
			if err != nil {
				return
			}
			if _, err := fmt.Fprintf(w, "event: message\ndata: %s\n\n", raw); err != nil {
				return
			}
			_ = control.Flush()
		case <-r.Context().Done():
			return
		}
	}
}

func write(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(v) // the client is gone if this fails
}

func problem(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"title": http.StatusText(status), "status": status, "detail": detail})
}
