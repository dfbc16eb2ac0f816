package arm

import (
	"math"
	"strings"
	"sync"
	"time"
)

// limit is a token bucket's size and its refill per second.
type limit struct {
	burst float64
	rate  float64
}

// bucket is what is left of a limit.
type bucket struct {
	tokens float64
	at     time.Time
}

// throttle keeps the token buckets of the service and of the resource manager.
type throttle struct {
	mu      sync.Mutex
	now     func() time.Time
	speedUp float64 // how much faster than real time buckets refill; 0 switches throttling off
	buckets map[string]*bucket
}

// The published limits: first those of the service per resource or scope, then
// those of the resource manager per subscription.
func serviceLimit(operation string) (limit, scope) {
	switch operation {
	case "ManagedClusters_CreateOrUpdate", "AgentPools_CreateOrUpdate":
		return limit{20, 1.0 / 60}, perResource
	case "ManagedClusters_Get", "AgentPools_Get":
		return limit{60, 1}, perResource
	case "ManagedClusters_List":
		return limit{500, 1}, perSubscription
	case "ManagedClusters_ListByResourceGroup":
		return limit{60, 1}, perGroup
	case "Operations_Status", "Operations_Result":
		return limit{200, 2}, perSubscription
	}
	return limit{}, perResource
}

type scope int

const (
	perResource scope = iota
	perGroup
	perSubscription
)

func managerLimit(method string) (name string, l limit) {
	switch method {
	case "GET", "HEAD":
		return "reads", limit{250, 25}
	case "DELETE":
		return "deletes", limit{200, 10}
	default:
		return "writes", limit{200, 10}
	}
}

// take asks for one token of each bucket that a call draws on. It returns how
// many the resource manager has left and, when a bucket was empty, the seconds
// until it is not.
func (t *throttle) take(c *call) (kind string, left, retryAfter int, byManager bool) {
	kind, manager := managerLimit(c.method)
	if t.speedUp == 0 {
		return kind, int(manager.burst), 0, false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if l, s := serviceLimit(c.operation); l.burst > 0 {
		key := strings.ToLower(c.operation + "|" + c.subscription)
		switch s {
		case perResource:
			key += "|" + strings.ToLower(c.group+"/"+c.cluster+"/"+c.pool)
		case perGroup:
			key += "|" + strings.ToLower(c.group)
		case perSubscription:
		}
		if _, wait := t.draw(key, l); wait > 0 {
			return kind, 0, wait, false
		}
	}
	left, wait := t.draw(kind+"|"+strings.ToLower(c.subscription), manager)
	return kind, left, wait, wait > 0
}

func (t *throttle) draw(key string, l limit) (left, retryAfter int) {
	now := t.now()
	b, ok := t.buckets[key]
	if !ok {
		b = &bucket{tokens: l.burst, at: now}
		t.buckets[key] = b
	}
	b.tokens = math.Min(l.burst, b.tokens+now.Sub(b.at).Seconds()*l.rate*t.speedUp)
	b.at = now
	if b.tokens < 1 {
		return 0, max(int(math.Ceil((1-b.tokens)/(l.rate*t.speedUp))), 1)
	}
	b.tokens--
	return int(b.tokens), 0
}
