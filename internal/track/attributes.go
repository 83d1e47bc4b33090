package track

// span is where an attribute is in its tag.
type span struct {
	name            string
	from, to        int // with the white space before it
	value, valueEnd int // of the value, without its quotes; the same when it has none
}

// attributes finds the attributes of a start tag, which it has from "<" to ">", by the
// rules of HTML (WHATWG HTML §13.2.5.32 to 39).
func attributes(tag string) (spans []span) {
	at := 1
	skip := func(stop func(byte) bool) {
		for at < len(tag) && !stop(tag[at]) {
			at++
		}
	}
	skip(func(c byte) bool { return space(c) || c == '/' || c == '>' }) // the tag's name
	for {
		s := span{from: at}
		skip(func(c byte) bool { return !space(c) && c != '/' })
		if at >= len(tag) || tag[at] == '>' {
			return spans
		}
		began := at
		skip(func(c byte) bool { return space(c) || c == '/' || c == '>' || c == '=' && at > began })
		s.name, s.to, s.value, s.valueEnd = tag[began:at], at, at, at
		skip(func(c byte) bool { return !space(c) })
		if at < len(tag) && tag[at] == '=' {
			at++
			skip(func(c byte) bool { return !space(c) })
			s.value, s.valueEnd = value(tag, &at)
			s.to = at
		} else {
			at = s.to
		}
		spans = append(spans, s)
	}
}

// value reads a value that begins at a place, and goes behind it.
func value(tag string, at *int) (from, to int) {
	from = *at
	if from >= len(tag) {
		return from, from
	}
	quote := tag[from]
	if quote != '"' && quote != '\'' {
		for *at < len(tag) && !space(tag[*at]) && tag[*at] != '>' {
			*at++
		}
		return from, *at
	}
	from++
	for *at = from; *at < len(tag) && tag[*at] != quote; {
		*at++
	}
	to = *at
	if *at < len(tag) {
		*at++
	}
	return from, to
}

func space(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' }
