package apiserver

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"io"
	"net/http"
	"strings"
)

// scalarJS is the API reference (npm @scalar/api-reference), which the build puts here.
//
//go:embed docs/scalar.js.gz
var scalarJS []byte

// docsPage shows the reference with nothing from elsewhere: no fonts, no proxy, no telemetry.
const docsPage = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Mailtura API</title>
<link rel="icon" href="/docs/icon.svg">
</head>
<body>
<div id="app"></div>
<script src="/docs/scalar.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
`

const docsStart = `Scalar.createApiReference("#app", {
  url: "/openapi.json",
  servers: [{ url: location.origin }],
  withDefaultFonts: false,
  customCss: "section.section:focus { outline: none }", // it is focused when an address leads to it
  hideClientButton: true,
  showDeveloperTools: "never",
  authentication: { preferredSecurityScheme: "key" },
  telemetry: false,
  agent: { disabled: true },
  mcp: { disabled: true },
});
`

// docsIcon is an envelope.
const docsIcon = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect x="2" y="6" width="28" height="20" rx="4" fill="#2f5fd0"/>` +
	`<path d="m5 11 11 8 11-8" fill="none" stroke="#fff" stroke-width="2.5" stroke-linecap="round" stroke-linejoin="round"/></svg>` + "\n"

// docsPolicy lets the page load from this server only; the reference styles itself inline.
const docsPolicy = "default-src 'none'; script-src 'self' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; " +
	"font-src 'self' data:; connect-src 'self'; worker-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// registerDocs adds the OpenAPI document and its interactive reference.
func (s *Server) registerDocs() {
	s.router.Get("/openapi.yaml", s.serveOpenAPI("application/yaml", s.api.OpenAPI().YAML))
	s.router.Get("/openapi.json", s.serveOpenAPI("application/json", s.api.OpenAPI().MarshalJSON))
	s.router.Get("/docs", serveText("text/html; charset=utf-8", docsPage))
	s.router.Get("/docs/start.js", serveText("text/javascript; charset=utf-8", docsStart))
	s.router.Get("/docs/icon.svg", serveText("image/svg+xml", docsIcon))
	s.router.Get("/docs/scalar.js", serveGzip("text/javascript; charset=utf-8", scalarJS))
}

func (s *Server) serveOpenAPI(contentType string, render func() ([]byte, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		doc, err := render()
		if err != nil {
			writeProblem(w, s.problem(r.Context(), err))
			return
		}
		w.Header().Set("Content-Type", contentType)
		_, _ = w.Write(doc)
	}
}

func serveText(contentType, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Content-Security-Policy", docsPolicy)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Referrer-Policy", "no-referrer")
		_, _ = io.WriteString(w, text)
	}
}

func serveGzip(contentType string, compressed []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Cache-Control", "public, max-age=3600")
		w.Header().Set("Vary", "Accept-Encoding")
		if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(compressed)
			return
		}
		plain, err := gzip.NewReader(bytes.NewReader(compressed))
		if err != nil {
			http.Error(w, "", http.StatusInternalServerError)
			return
		}
		_, _ = io.Copy(w, plain) //nolint:gosec // our own file
	}
}
