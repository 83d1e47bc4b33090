package template

import "container/list"

// lru keeps values by key, the most recently used ones, up to a total weight. It
// is not safe for concurrent use.
type lru[V any] struct {
	maxWeight int
	weight    int
	drop      func(V)    // called with each value that leaves
	order     *list.List // of *lruEntry[V], most recently used first
	entries   map[string]*list.Element
}

type lruEntry[V any] struct {
	key    string
	value  V
	weight int
}

func newLRU[V any](maxWeight int, drop func(V)) *lru[V] {
	return &lru[V]{maxWeight: maxWeight, drop: drop, order: list.New(), entries: map[string]*list.Element{}}
}

func (l *lru[V]) get(key string) (v V, ok bool) {
	found, ok := l.entries[key]
	if !ok {
		return v, false
	}
	l.order.MoveToFront(found)
	return found.Value.(*lruEntry[V]).value, true
}

// add keeps value under a new key and tells whether it did: what is heavier
// than the whole cache stays with the caller, and so does a key that is kept already.
func (l *lru[V]) add(key string, value V, weight int) bool {
	if _, kept := l.entries[key]; kept || weight > l.maxWeight {
		return false
	}
	for l.weight+weight > l.maxWeight {
		l.remove(l.order.Back())
	}
	l.entries[key] = l.order.PushFront(&lruEntry[V]{key, value, weight})
	l.weight += weight
	return true
}

func (l *lru[V]) clear() {
	for l.order.Len() > 0 {
		l.remove(l.order.Back())
	}
}

func (l *lru[V]) remove(element *list.Element) {
	entry := l.order.Remove(element).(*lruEntry[V])
	delete(l.entries, entry.key)
	l.weight -= entry.weight
	l.drop(entry.value)
}
