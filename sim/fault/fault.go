// Package fault describes what a simulated cloud does wrong, when and to whom:
// a list of faults, each with a matcher and an effect, taken from a scenario
// file or added at run time. It decides which faults a call or an operation
// meets; carrying the effect out is left to the packages that are asked.
package fault

import (
	"errors"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
)

// Effect is what a fault does.
type Effect string

// The effects. The first group strikes single HTTP calls, the second
// long-running operations, the third the simulated world as a whole.
const (
	// Error answers a call with Status, Code, Message, Subcode in the shape Shape.
	Error Effect = "error"
	// Throttle answers a call with 429 Throttled and RetryAfter.
	Throttle Effect = "throttle"
	// Latency delays a call by Delay and then lets it pass.
	Latency Effect = "latency"
	// Unreachable resets the connection without an answer.
	Unreachable Effect = "unreachable"
	// Unauthorized answers 401 as if the token were refused.
	Unauthorized Effect = "unauthorized"

	// OperationFails lets a long-running operation end Failed with Code and
	// Message; its cluster or pool ends Failed too.
	OperationFails Effect = "operationFails"
	// OperationSlow lets a long-running operation take Delay longer.
	OperationSlow Effect = "operationSlow"

	// APIServerDown stops Match.Cluster's control plane for For.
	APIServerDown Effect = "apiServerDown"
	// VersionWithdrawn takes Version out of Region's offer.
	VersionWithdrawn Effect = "versionWithdrawn"
	// VersionOffered adds Version to Region's offer.
	VersionOffered Effect = "versionOffered"
	// ImageReleased makes Version ("202611.17.0") the newest node image of Family in Region.
	ImageReleased Effect = "imageReleased"
	// Quota sets Limit vCPUs for Family of Match.Subscription in Region; an
	// empty subscription means all of them.
	Quota Effect = "quota"
	// ClusterDeleted makes Match.Cluster disappear, as if someone had deleted it.
	ClusterDeleted Effect = "clusterDeleted"
)

// Match says which calls or operations a fault meets. Empty fields match
// everything; names may hold * as in shell patterns and ignore case.
type Match struct {
	// Operation is the REST operation's id: "AgentPools_CreateOrUpdate".
	Operation    string `json:"operation,omitempty"    yaml:"operation"`
	Method       string `json:"method,omitempty"       yaml:"method"`
	Subscription string `json:"subscription,omitempty" yaml:"subscription"`
	Cluster      string `json:"cluster,omitempty"      yaml:"cluster"`
	Pool         string `json:"pool,omitempty"         yaml:"pool"`
}

// Duration is a time.Duration that reads and writes as "1m30s".
type Duration time.Duration

// MarshalText writes the duration as Go does.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads "1m30s".
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("a duration such as 90s or 1m30s: %w", err)
	}
	*d = Duration(parsed)
	return nil
}

// UnmarshalYAML reads "1m30s".
func (d *Duration) UnmarshalYAML(node ast.Node) error {
	text := strings.Trim(node.String(), `"' `)
	if err := d.UnmarshalText([]byte(text)); err != nil {
		return &yaml.SyntaxError{Message: err.Error(), Token: node.GetToken()}
	}
	return nil
}

// Fault is one thing that goes wrong.
type Fault struct {
	ID     string `json:"id,omitempty"    yaml:"id"`
	Effect Effect `json:"effect"          yaml:"effect"`
	Match  Match  `json:"match,omitzero"  yaml:"match"`
	// Nth is the first matching call that is struck, counted from 1; 0 means 1.
	Nth int `json:"nth,omitempty" yaml:"nth"`
	// Times is how many matching calls are struck; 0 means one, or without
	// limit where For is set; negative means without limit.
	Times int `json:"times,omitempty" yaml:"times"`
	// After is how long the fault sleeps from the moment it was added.
	After Duration `json:"after,omitempty" yaml:"after"`
	// For is how long the fault lasts once awake; 0 means until used up.
	For Duration `json:"for,omitempty" yaml:"for"`

	// The effect's own values.
	Status     int      `json:"status,omitempty"     yaml:"status"`
	Code       string   `json:"code,omitempty"       yaml:"code"`
	Subcode    string   `json:"subcode,omitempty"    yaml:"subcode"`
	Message    string   `json:"message,omitempty"    yaml:"message"`
	Shape      string   `json:"shape,omitempty"      yaml:"shape"` // "arm" (default) or "flat"
	RetryAfter int      `json:"retryAfter,omitempty" yaml:"retryAfter"`
	Delay      Duration `json:"delay,omitempty"      yaml:"delay"`
	// At is where an operation fails: "start" (default), "middle" or "end".
	At      string `json:"at,omitempty"      yaml:"at"`
	Region  string `json:"region,omitempty"  yaml:"region"`
	Version string `json:"version,omitempty" yaml:"version"`
	Family  string `json:"family,omitempty"  yaml:"family"`
	Limit   int    `json:"limit,omitempty"   yaml:"limit"`

	// Seen and Struck count the matching calls and those that were struck.
	Seen   int `json:"seen,omitempty"   yaml:"-"`
	Struck int `json:"struck,omitempty" yaml:"-"`

	awake time.Time
}

// Class says what a fault's effect strikes.
type Class int

// The classes of effects.
const (
	CallClass Class = iota
	OperationClass
	WorldClass
)

// Class returns what the effect strikes.
func (e Effect) Class() Class {
	switch e {
	case OperationFails, OperationSlow:
		return OperationClass
	case APIServerDown, VersionWithdrawn, VersionOffered, ImageReleased, Quota, ClusterDeleted:
		return WorldClass
	case Error, Throttle, Latency, Unreachable, Unauthorized:
	}
	return CallClass
}

// Check reports every problem of a fault at once.
func (f *Fault) Check() error {
	var problems []error
	need := func(ok bool, what string) {
		if !ok {
			problems = append(problems, fmt.Errorf("effect %s needs %s", f.Effect, what))
		}
	}
	switch f.Effect {
	case Error:
		need(f.Code != "", "a code")
		if f.Status != 0 && (f.Status < 400 || f.Status > 599) {
			problems = append(problems, fmt.Errorf("status: from 400 to 599 (got %d)", f.Status))
		}
	case OperationFails:
		need(f.Code != "", "a code")
	case Latency, OperationSlow:
		need(f.Delay > 0, "a delay")
	case APIServerDown:
		need(f.Match.Cluster != "", "match.cluster")
		need(f.For > 0, "for, how long it is down")
	case VersionWithdrawn, VersionOffered:
		need(f.Region != "", "a region")
		need(f.Version != "", "a version")
	case ImageReleased:
		need(f.Region != "", "a region")
		need(f.Version != "", "a version")
		need(f.Family != "", "a family")
	case Quota:
		need(f.Region != "", "a region")
		need(f.Family != "", "a family")
	case ClusterDeleted:
		need(f.Match.Cluster != "", "match.cluster")
	case Throttle, Unreachable, Unauthorized:
	default:
		problems = append(problems, fmt.Errorf("effect: one of %s (got %q)", strings.Join(effectNames(), ", "), f.Effect))
	}
	if f.Shape != "" && f.Shape != "arm" && f.Shape != "flat" {
		problems = append(problems, fmt.Errorf("shape: arm or flat (got %q)", f.Shape))
	}
	if f.At != "" && !slices.Contains([]string{"start", "middle", "end"}, f.At) {
		problems = append(problems, fmt.Errorf("at: start, middle or end (got %q)", f.At))
	}
	for _, pattern := range []string{f.Match.Operation, f.Match.Cluster, f.Match.Pool, f.Match.Subscription} {
		if _, err := path.Match(strings.ToLower(pattern), ""); err != nil {
			problems = append(problems, fmt.Errorf("match: %q is no pattern: %w", pattern, err))
		}
	}
	return errors.Join(problems...)
}

func effectNames() []string {
	return []string{
		string(Error), string(Throttle), string(Latency), string(Unreachable), string(Unauthorized), string(OperationFails),
		string(OperationSlow), string(APIServerDown), string(VersionWithdrawn), string(VersionOffered), string(ImageReleased),
		string(Quota), string(ClusterDeleted),
	}
}

// HTTPStatus is the status of an Error fault, 500 where none was given.
func (f *Fault) HTTPStatus() int {
	if f.Status == 0 {
		return http.StatusInternalServerError
	}
	return f.Status
}

// Call is what a fault may match: an HTTP call or a long-running operation.
type Call struct {
	Operation    string
	Method       string
	Subscription string
	Cluster      string
	Pool         string
}

func (m *Match) meets(c *Call) bool {
	return like(m.Operation, c.Operation) && like(m.Method, c.Method) &&
		like(m.Subscription, c.Subscription) && like(m.Cluster, c.Cluster) && like(m.Pool, c.Pool)
}

func like(pattern, name string) bool {
	if pattern == "" {
		return true
	}
	ok, err := path.Match(strings.ToLower(pattern), strings.ToLower(name))
	return err == nil && ok
}

// Set is the faults in force. It is safe for concurrent use.
type Set struct {
	mu     sync.Mutex
	now    func() time.Time
	next   int
	faults []*Fault
}

// NewSet returns an empty set that reads the time from now.
func NewSet(now func() time.Time) *Set { return &Set{now: now} }

// Add puts a fault in force and returns its id.
func (s *Set) Add(f Fault) (string, error) {
	if err := f.Check(); err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.ID == "" {
		s.next++
		f.ID = "fault-" + strconv.Itoa(s.next)
	}
	if slices.ContainsFunc(s.faults, func(other *Fault) bool { return other.ID == f.ID }) {
		return "", fmt.Errorf("a fault %q exists already; remove it first or take another id", f.ID)
	}
	f.Seen, f.Struck = 0, 0
	f.awake = s.now().Add(time.Duration(f.After))
	s.faults = append(s.faults, &f)
	return f.ID, nil
}

// Remove takes a fault away and reports whether it was there. An empty id
// removes all.
func (s *Set) Remove(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := len(s.faults)
	s.faults = slices.DeleteFunc(s.faults, func(f *Fault) bool { return id == "" || f.ID == id })
	return len(s.faults) < before
}

// List returns the faults in force, with their counts.
func (s *Set) List() []Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]Fault, 0, len(s.faults))
	for _, f := range s.faults {
		list = append(list, *f)
	}
	return list
}

// Strike returns the faults of a class that a call meets now, and counts them
// as used.
func (s *Set) Strike(class Class, c Call) []Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	var struck []Fault
	for _, f := range s.faults {
		if f.Effect.Class() != class || now.Before(f.awake) || !f.Match.meets(&c) {
			continue
		}
		if class == WorldClass && f.Match.Operation == "" {
			continue // such faults go off by the clock, see Due
		}
		// A world fault's For is the effect's own duration, not its life.
		if f.For > 0 && class != WorldClass && now.After(f.awake.Add(time.Duration(f.For))) {
			continue
		}
		f.Seen++
		if f.Seen < max(f.Nth, 1) || f.usedUp() {
			continue
		}
		f.Struck++
		struck = append(struck, *f)
	}
	return struck
}

// Due returns the world faults that wait for no call and whose time has come,
// each only once, and the time at which the next one will be due (zero for none).
func (s *Set) Due() (due []Fault, next time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	for _, f := range s.faults {
		if f.Effect.Class() != WorldClass || f.Match.Operation != "" || f.Struck > 0 {
			continue
		}
		if now.Before(f.awake) {
			if next.IsZero() || f.awake.Before(next) {
				next = f.awake
			}
			continue
		}
		f.Struck++
		due = append(due, *f)
	}
	return due, next
}

func (f *Fault) usedUp() bool {
	switch {
	case f.Times < 0, f.Times == 0 && f.For > 0 && f.Effect.Class() != WorldClass:
		return false
	default:
		return f.Struck >= max(f.Times, 1)
	}
}
