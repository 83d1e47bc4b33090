package apiserver

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// lineReader reads lines without keeping more than one.
type lineReader struct {
	r      *bufio.Reader
	long   []byte // a line that the reader's buffer does not hold
	number int    // of the line that was read last
}

var errLineTooLong = errors.New("the line is too long")

// next gives the next line that is not blank, until the one after it is asked for. io.EOF
// when there is none; errLineTooLong for one of more than limit bytes, which is skipped.
func (l *lineReader) next(limit int) ([]byte, error) {
	for {
		line, err := l.read(limit)
		if line = bytes.TrimSpace(line); len(line) > 0 || err != nil {
			return line, err
		}
	}
}

func (l *lineReader) read(limit int) ([]byte, error) {
	l.long = l.long[:0]
	if cap(l.long) > maxBulkLine+(64<<10) {
		l.long = nil // the first line may be large
	}
	l.number++
	for read := 0; ; {
		part, err := l.r.ReadSlice('\n')
		read += len(part)
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			if read <= limit {
				l.long = append(l.long, part...)
			}
			continue
		case errors.Is(err, io.EOF) && read > 0: // the last line needs no end
		case err != nil:
			return nil, err
		}
		if read-1 > limit {
			return nil, errLineTooLong
		}
		if read == len(part) {
			return part, nil
		}
		l.long = append(l.long, part...)
		return l.long, nil
	}
}
