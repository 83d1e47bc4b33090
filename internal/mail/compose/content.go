package compose

import (
	"fmt"
	"maps"
	"mime"
	"strings"
)

// contentType is a media type as a header has it: parameters that are not ASCII, such as
// a name that Content-Disposition has anyway, are left out.
func contentType(s string) string {
	if ascii(s) {
		return s
	}
	media, parameters, err := mime.ParseMediaType(s)
	if err != nil {
		return "application/octet-stream"
	}
	maps.DeleteFunc(parameters, func(_, value string) bool { return !ascii(value) })
	return mime.FormatMediaType(media, parameters)
}

func ascii(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= 0x80 })
}

// contentDisposition has the file name, by RFC 2231 when it is not ASCII, and in the
// pieces of RFC 2231 §3 when it is too long for a line.
func contentDisposition(disposition, filename string) string {
	whole := mime.FormatMediaType(disposition, map[string]string{"filename": filename})
	if len("Content-Disposition: ")+len(whole) <= maxOctets {
		return whole
	}
	var b strings.Builder
	b.WriteString(disposition)
	const most = 54 // characters of a piece
	pieces, used := 0, most
	for _, r := range filename { // not in the middle of a character, since some mail programs decode each piece
		encoded := percent(string(r))
		if used+len(encoded) > most {
			fmt.Fprintf(&b, ";\r\n filename*%d*=", pieces)
			if pieces == 0 {
				b.WriteString("utf-8''")
			}
			pieces, used = pieces+1, 0
		}
		b.WriteString(encoded)
		used += len(encoded)
	}
	return b.String()
}

func percent(s string) string {
	var b strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&b, "%%%02X", s[i])
	}
	return b.String()
}
