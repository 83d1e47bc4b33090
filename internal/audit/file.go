package audit

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
)

// maxLine bounds a line of an exported file: no act has that much to tell.
const maxLine = 4 << 20

// Line is an entry as a line of an exported file (NDJSON), with its line break.
func (e Entry) Line() ([]byte, error) {
	raw, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("encode entry: %w", err)
	}
	return append(raw, '\n'), nil
}

// ParseLine reads a line of an exported file.
func ParseLine(line []byte) (e Entry, err error) {
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(&e); err != nil {
		return e, fmt.Errorf("not an entry: %w", err)
	}
	if rest, err := d.Token(); !errors.Is(err, io.EOF) {
		return e, fmt.Errorf("not an entry: %v comes behind it", rest)
	}
	return e, nil
}

// Read gives the entries of an exported file. It ends with the first error, which names the line.
func Read(r io.Reader) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		lines := bufio.NewScanner(r)
		lines.Buffer(nil, maxLine)
		for n := 1; lines.Scan(); n++ {
			e, err := ParseLine(lines.Bytes())
			if err != nil {
				err = fmt.Errorf("line %d: %w", n, err)
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
		if err := lines.Err(); err != nil {
			yield(Entry{}, fmt.Errorf("read file: %w", err))
		}
	}
}
