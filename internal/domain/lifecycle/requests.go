package lifecycle

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// Requested is a sample of the API server's metric
// apiserver_requested_deprecated_apis: somebody has used the API since the API
// server started. It does not say who, nor when.
type Requested struct {
	Group, Version, Resource, Subresource string
	// Removed is the first version that does not serve it; zero where none is announced.
	Removed fleet.Version
}

// Use is a request to a deprecated API in an audit log, or many alike.
type Use struct {
	Group, Version, Resource, Subresource string
	Namespace, Name                       string
	Removed                               fleet.Version
	User, UserAgent, Verb                 string
	// At is when the last of them was made.
	At time.Time
	// Count is how many there were; 0 is one.
	Count int
}

// LookBack is how far back AKS looks for requests to removed APIs before it lets
// an upgrade of the control plane begin.
const LookBack = 12 * time.Hour

// resource is what requests name.
type resource struct{ group, version, resource string }

// JudgeRequests says which deprecated APIs are asked for, and by whom where audit
// logs tell. One finding for an API; now is needed for how long ago it was.
func JudgeRequests(requested []Requested, uses []Use, target fleet.Version, now time.Time) []fleet.Finding {
	removed := map[resource]fleet.Version{}
	inMetric := map[resource]bool{}
	byResource := map[resource][]Use{}
	for _, r := range requested {
		key := resource{r.Group, r.Version, r.Resource}
		inMetric[key] = true
		removed[key] = cmp.Or(removed[key], r.Removed)
	}
	for _, u := range uses {
		key := resource{u.Group, u.Version, u.Resource}
		byResource[key] = append(byResource[key], u)
		removed[key] = cmp.Or(removed[key], u.Removed)
	}
	keys := slices.SortedFunc(maps.Keys(removed), func(a, b resource) int {
		return cmp.Or(cmp.Compare(a.group, b.group), cmp.Compare(a.version, b.version), cmp.Compare(a.resource, b.resource))
	})
	var findings []fleet.Finding
	for _, key := range keys {
		if f, found := judgeRequest(key, removed[key], inMetric[key], byResource[key], target, now); found {
			findings = append(findings, f)
		}
	}
	slices.SortStableFunc(findings, func(a, b fleet.Finding) int { return cmp.Compare(rank(a.Severity), rank(b.Severity)) })
	return findings
}

func judgeRequest(key resource, removed fleet.Version, inMetric bool, uses []Use, target fleet.Version, now time.Time) (fleet.Finding, bool) {
	row := key.row()
	if removed.IsZero() && row != nil {
		removed = minor(row.removed)
	}
	clients := who(uses)
	if len(clients) == 0 && !inMetric {
		return fleet.Finding{}, false
	}
	api := GroupVersionKind{key.group, key.version, key.resource}
	f := fleet.Finding{ID: "api-requested", Severity: fleet.Warning, Object: api.APIVersion() + "/" + key.resource}
	goneAt := !removed.IsZero() && !target.Less(fleet.Version{Major: removed.Major, Minor: removed.Minor})
	switch {
	case goneAt:
		f.Severity = fleet.Blocker
		f.What = fmt.Sprintf("%s is asked for, and Kubernetes %s does not serve it: it was removed in %s", api, target.MinorString(), removed.MinorString())
	case removed.IsZero():
		f.What = fmt.Sprintf("%s is asked for, and is deprecated", api)
	default:
		f.What = fmt.Sprintf("%s is asked for; it is deprecated and gone in %s", api, removed.MinorString())
	}
	outside := slices.DeleteFunc(slices.Clone(clients), func(c client) bool { return c.own })
	var lines []string
	for _, c := range clients {
		lines = append(lines, c.line())
	}
	switch {
	case len(outside) > 0:
		f.Owner = outside[0].name()
		f.Why = lastSeen(outside, now)
	case len(clients) > 0:
		f.Severity = fleet.Info
		f.Why = "only Kubernetes' own components ask for it, and they are upgraded with the cluster"
	default:
		f.Why = "the API server's metric counts since its start and does not say who asked; its audit log does (annotation k8s.io/deprecated)"
	}
	if goneAt && f.Severity == fleet.Blocker {
		f.Why += ". AKS refuses the upgrade of the control plane while such a request is less than 12 hours old, and lets one pass whose client asks more seldom"
	}
	if inMetric {
		lines = append(lines, "metric: apiserver_requested_deprecated_apis")
	}
	f.Evidence = strings.Join(lines, "\n")
	f.Remedy = "find the client and have it use another version"
	if row != nil {
		if next, found := successor(GroupVersionKind{row.group, row.version, row.kind}, target); found {
			f.Remedy = "have the client use " + next.String()
		}
	}
	return f, true
}

// lastSeen says when the API was asked for last, and what AKS makes of that.
func lastSeen(clients []client, now time.Time) string {
	var last time.Time
	for _, c := range clients {
		if c.last.After(last) {
			last = c.last
		}
	}
	if last.IsZero() {
		return "the audit log does not say when it was asked for"
	}
	text := "asked for last at " + last.UTC().Format("2006-01-02 15:04")
	if now.Sub(last) >= LookBack {
		text += ", which AKS' look-back of 12 hours misses: the upgrade begins and the client breaks"
	}
	return text
}

// client is who asks, and what for.
type client struct {
	user, agent, verb string
	count             int
	last              time.Time
	own               bool // of Kubernetes itself
}

// who groups requests by who made them: people and tools first, those who asked
// last first.
func who(uses []Use) []client {
	type of struct{ user, agent, verb string }
	found := map[of]*client{}
	for _, u := range uses {
		key := of{u.User, u.UserAgent, u.Verb}
		c := found[key]
		if c == nil {
			c = &client{user: u.User, agent: u.UserAgent, verb: u.Verb, own: ofKubernetes(u.User)}
			found[key] = c
		}
		c.count += max(1, u.Count)
		if u.At.After(c.last) {
			c.last = u.At
		}
	}
	clients := make([]client, 0, len(found))
	for _, c := range found {
		clients = append(clients, *c)
	}
	slices.SortFunc(clients, func(a, b client) int {
		return cmp.Or(cmp.Compare(boolInt(a.own), boolInt(b.own)), b.last.Compare(a.last), cmp.Compare(a.user, b.user), cmp.Compare(a.agent, b.agent), cmp.Compare(a.verb, b.verb))
	})
	return clients
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// ofKubernetes reports whether a user is one of Kubernetes' own components: their
// garbage collector and quota controller list every version that is served.
func ofKubernetes(user string) bool {
	switch user {
	case "system:apiserver", "system:kube-scheduler", "system:kube-controller-manager", "system:kube-proxy", "system:cloud-controller-manager":
		return true
	}
	if strings.HasPrefix(user, "system:node:") {
		return true
	}
	account, found := strings.CutPrefix(user, "system:serviceaccount:kube-system:")
	return found && slices.Contains([]string{
		"generic-garbage-collector", "namespace-controller", "resourcequota-controller", "horizontal-pod-autoscaler",
		"endpointslice-controller", "endpointslicemirroring-controller", "disruption-controller", "cronjob-controller",
	}, account)
}

// name is who to speak to.
func (c *client) name() string { return cmp.Or(c.user, c.agent) }

func (c *client) line() string {
	line := fmt.Sprintf("audit: %s %d times by %s", c.verb, c.count, cmp.Or(c.user, "an unknown user"))
	if c.agent != "" {
		line += " (" + c.agent + ")"
	}
	if !c.last.IsZero() {
		line += ", last at " + c.last.UTC().Format("2006-01-02 15:04")
	}
	return line
}

// row finds the API that a resource is the plural of.
func (r resource) row() *row {
	rows := ofGroup(r.group)
	for i := range rows {
		if rows[i].version == r.version && plural(rows[i].kind) == r.resource {
			return &rows[i]
		}
	}
	return nil
}

// plural is the name of a kind's resource.
func plural(kind string) string {
	name := strings.ToLower(kind)
	switch {
	case strings.HasSuffix(name, "endpoints"):
		return name
	case strings.HasSuffix(name, "s"):
		return name + "es"
	case strings.HasSuffix(name, "cy"):
		return strings.TrimSuffix(name, "y") + "ies"
	case strings.HasSuffix(name, "ity"):
		return strings.TrimSuffix(name, "y") + "ies"
	}
	return name + "s"
}
