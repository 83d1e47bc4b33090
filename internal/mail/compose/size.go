package compose

// EncodedSize is about how many bytes Compose gives, and never much less: base64 and
// quoted-printable grow what they carry.
func EncodedSize(m Message) int {
	n := 1024 + wordsSize(m.Subject) + quotedSize(m.HTML) + quotedSize(m.Text)
	for _, a := range mailboxes(m) {
		n += wordsSize(a.Name) + len(a.Addr) + 10
	}
	for _, h := range m.Headers {
		n += len(h.Name) + wordsSize(h.Value) + 4
	}
	for _, a := range m.Attachments {
		n += len(a.Content)*78/57 + 4*len(a.Filename) + len(a.ContentType) + len(a.ContentID) + 300
	}
	return n
}

// wordsSize is for text in a header, where each encoded word of 75 characters has 15 that say so.
func wordsSize(s string) int {
	n := len(s) + len(s)/4
	for i := range len(s) {
		if s[i] >= 0x80 {
			n += 3
		}
	}
	return n
}

// quotedSize is for quoted-printable: three characters for a byte that is not plain, two
// for the end of a line, and three more in each line that is too long.
func quotedSize(s string) int {
	n := len(s) + len(s)/20
	for i := range len(s) {
		switch c := s[i]; {
		case c == '\n' && i > 0 && s[i-1] == '\r': // counted
		case c == '\n' || c == '\r':
			n++
			if i > 0 && (s[i-1] == ' ' || s[i-1] == '\t') { // white space that ends a line
				n += 2
			}
		case c >= 0x7f || c == '=' || c < ' ' && c != '\t':
			n += 2
		}
	}
	return n
}
