package inbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
)

// summary is what a list shows of a message.
type summary struct {
	ID          string    `json:"id"`
	From        string    `json:"from"`
	To          []string  `json:"to"` // of the envelope
	Subject     string    `json:"subject"`
	MessageID   string    `json:"messageId"`
	ReceivedAt  time.Time `json:"receivedAt"`
	Size        int       `json:"size"`
	Attachments bool      `json:"attachments"`
}

// mailbox keeps messages, oldest first.
type mailbox struct {
	dir string // empty: in memory
	max int

	mu       sync.RWMutex
	messages []summary
	raw      map[string][]byte // without a folder
	watchers map[chan summary]struct{}
	closed   bool
}

func openMailbox(dir string, limit int) (*mailbox, error) {
	b := &mailbox{dir: dir, max: limit, raw: map[string][]byte{}, watchers: map[chan summary]struct{}{}}
	if dir == "" {
		return b, nil
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("make folder of the inbox: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("read folder of the inbox: %w", err)
	}
	for _, entry := range entries { // sorted by name, and names by time
		name, isSummary := strings.CutSuffix(entry.Name(), ".json")
		if !isSummary {
			continue
		}
		var s summary
		text, err := os.ReadFile(filepath.Join(dir, entry.Name())) //nolint:gosec // our own folder
		if err == nil && json.Unmarshal(text, &s) == nil && s.ID == name {
			b.messages = append(b.messages, s)
		}
	}
	b.trim()
	return b, nil
}

// add takes a message in. The summary is written last, so that a message that is cut off
// is none.
func (b *mailbox) add(from string, to []string, raw []byte) error {
	s := summarize(raw)
	s.ID, s.From, s.To, s.Size = uuid.Must(uuid.NewV7()).String(), from, slices.Clone(to), len(raw)
	s.ReceivedAt = time.Now().UTC().Truncate(time.Millisecond)
	if b.dir != "" {
		if err := b.write(s, raw); err != nil {
			return err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.dir == "" {
		b.raw[s.ID] = raw
	}
	at, _ := b.find(s.ID) // messages that come at the same time may overtake each other
	b.messages = slices.Insert(b.messages, at, s)
	b.trim()
	for w := range b.watchers {
		select {
		case w <- s:
		default: // it reads the list again when it wakes
		}
	}
	return nil
}

func (b *mailbox) write(s summary, raw []byte) error {
	text, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("keep message: %w", err)
	}
	base := filepath.Join(b.dir, s.ID)
	if err := os.WriteFile(base+".eml", raw, 0o600); err != nil {
		return fmt.Errorf("keep message: %w", err)
	}
	if err := os.WriteFile(base+".new", text, 0o600); err != nil {
		return fmt.Errorf("keep message: %w", err)
	}
	return os.Rename(base+".new", base+".json")
}

// trim drops the oldest messages beyond the limit.
func (b *mailbox) trim() {
	for len(b.messages) > b.max {
		b.remove(b.messages[0].ID)
		b.messages = b.messages[1:]
	}
}

func (b *mailbox) remove(id string) {
	delete(b.raw, id)
	if b.dir != "" {
		_ = os.Remove(filepath.Join(b.dir, id+".json"))
		_ = os.Remove(filepath.Join(b.dir, id+".eml"))
	}
}

// list gives messages that match, newest first, after the one with an id.
func (b *mailbox) list(match func(summary) bool, after string, limit int) (items []summary, total int, next string) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	items = []summary{}
	for _, s := range slices.Backward(b.messages) {
		if !match(s) {
			continue
		}
		total++
		switch {
		case after != "" && s.ID >= after:
		case len(items) < limit:
			items = append(items, s)
		case next == "":
			next = items[len(items)-1].ID
		}
	}
	return items, total, next
}

// find says where the message with an id is, or would be.
func (b *mailbox) find(id string) (at int, found bool) {
	return slices.BinarySearchFunc(b.messages, id, func(s summary, id string) int { return strings.Compare(s.ID, id) })
}

var errNoMessage = errors.New("there is no such message")

func (b *mailbox) get(id string) (summary, []byte, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	i, found := b.find(id)
	if !found {
		return summary{}, nil, errNoMessage
	}
	if b.dir == "" {
		return b.messages[i], b.raw[id], nil
	}
	raw, err := os.ReadFile(filepath.Join(b.dir, id+".eml")) //nolint:gosec // an id that the list has
	if err != nil {
		return summary{}, nil, errNoMessage
	}
	return b.messages[i], raw, nil
}

func (b *mailbox) clear() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.messages {
		b.remove(s.ID)
	}
	b.messages = nil
}

// watch gives a channel of new messages, until stop is called or the mailbox closed.
func (b *mailbox) watch() (messages <-chan summary, stop func()) {
	w := make(chan summary, 64)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		close(w)
		return w, func() {}
	}
	b.watchers[w] = struct{}{}
	return w, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.watchers, w)
	}
}

func (b *mailbox) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed {
		b.closed = true
		for w := range b.watchers {
			close(w)
			delete(b.watchers, w)
		}
	}
}
