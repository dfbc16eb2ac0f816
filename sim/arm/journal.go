package arm

import (
	"encoding/json"
	"strings"
	"sync"
	"time"
)

// Entry is one call that the simulated Azure answered, for tests to assert on.
// It never holds a token.
type Entry struct {
	Seq          int64           `json:"seq"`
	At           time.Time       `json:"at"`
	Method       string          `json:"method"`
	Path         string          `json:"path"`
	Operation    string          `json:"operation"` // "AgentPools_CreateOrUpdate"; "" where no route matched
	Subscription string          `json:"subscription,omitempty"`
	Cluster      string          `json:"cluster,omitempty"`
	Pool         string          `json:"pool,omitempty"`
	Status       int             `json:"status"` // 0: the connection was reset
	Code         string          `json:"code,omitempty"`
	Fault        string          `json:"fault,omitempty"` // the fault that decided the answer
	LRO          string          `json:"lro,omitempty"`   // the long-running operation that it started
	RequestID    string          `json:"requestId"`
	UserAgent    string          `json:"userAgent,omitempty"`
	Seconds      float64         `json:"seconds"`
	Body         json.RawMessage `json:"body,omitempty"` // of calls that write
}

// journalSize bounds the memory that the journal may take.
const journalSize = 50_000

// Journal keeps the latest calls. It is safe for concurrent use.
type Journal struct {
	mu      sync.Mutex
	seq     int64
	entries []Entry
}

func (j *Journal) add(e Entry) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.seq++
	e.Seq = j.seq
	if len(j.entries) >= journalSize {
		j.entries = append(j.entries[:0], j.entries[journalSize/10:]...)
	}
	j.entries = append(j.entries, e)
}

// Entries returns the calls after a sequence number, oldest first. Operation,
// cluster and method narrow them down where given.
func (j *Journal) Entries(after int64, operation, cluster, method string) []Entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	found := []Entry{}
	for _, e := range j.entries {
		if e.Seq > after && (operation == "" || strings.EqualFold(operation, e.Operation)) &&
			(cluster == "" || strings.EqualFold(cluster, e.Cluster)) && (method == "" || strings.EqualFold(method, e.Method)) {
			found = append(found, e)
		}
	}
	return found
}
