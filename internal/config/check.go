package config

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"liftlock.dev/liftlock/internal/config/v1alpha1"
	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/domain/window"
)

// checker looks at what fields mean together, and turns them into domain values
// on the way. A field that could not be decoded has its problem already and is
// not reported again.
type checker struct {
	*reader
	folder string    // where relative paths begin
	now    time.Time // zero where nothing runs out
	zone   string    // spec.timeZone
}

// bad records a problem of a path, at its place or that of the nearest parent
// that is in the file.
func (c *checker) bad(path, what, remedy string) {
	if c.broken[path] {
		return
	}
	s, given := c.places[path]
	value := ""
	if given && (s.node.kind == scalar || len(s.node.entries)+len(s.node.items) == 0) {
		value = shown(s.node, path)
	}
	for p := path; !given; s, given = c.places[p] {
		p = parent(p)
	}
	c.problem(Problem{Line: s.at.line, Column: s.at.column, Path: path, Value: value, What: what, Remedy: remedy})
}

// has reports whether the file gives a path.
func (c *checker) has(path string) bool {
	_, ok := c.places[path]
	return ok
}

// sound reports whether the values of all paths could be read.
func (c *checker) sound(paths ...string) bool {
	for _, p := range paths {
		if c.broken[p] {
			return false
		}
	}
	return true
}

// fleet turns a decoded file into a Spec.
func (c *checker) fleet(f *v1alpha1.File) fleet.Spec {
	c.zone = f.Spec.TimeZone
	if c.has("spec.timeZone") {
		c.timeZone("spec.timeZone", f.Spec.TimeZone)
	}
	c.name("metadata.name", f.Metadata.Name)
	spec := fleet.Spec{
		Name:     f.Metadata.Name,
		Cloud:    c.cloud("spec.azure.cloud", f.Spec.Azure.Cloud),
		Identity: c.identity("spec.azure.identity", f.Spec.Azure.Identity),
		Access:   c.access("spec.access", f.Spec.Access),
		Sources:  c.sources("spec.sources", f.Spec.Sources),
		Target:   c.target("spec.target", f.Spec.Target),
		Freezes:  c.freezes("spec.freezes", f.Spec.Freezes),
		Channels: fleet.ChannelPolicy(f.Spec.Channels),
		Nodes:    fleet.NodePolicy{}.With(c.nodes("spec.nodes", f.Spec.Nodes, true)),
		Accept:   c.acceptances("spec.accept", f.Spec.Accept),
	}
	spec.Rings = c.rings("spec.rings", f.Spec.Rings, &spec)
	spec.Overrides = c.overrides("spec.overrides", f.Spec.Overrides, &spec)
	return spec
}

// target checks a version policy.
func (c *checker) target(path string, t v1alpha1.Target) fleet.Target {
	channel, version := field(path, "channel"), field(path, "version")
	if c.has(channel) && c.has(version) {
		c.bad(path, "gives both a channel and a version", "keep one: a channel follows what is offered, a version stays")
		return fleet.Target{}
	}
	if !c.has(version) {
		if t.Channel == "" {
			t.Channel = string(fleet.ChannelStable)
		}
		return fleet.Target{Channel: fleet.Channel(t.Channel)}
	}
	if !c.sound(version) {
		return fleet.Target{}
	}
	res := fleet.Target{Channel: fleet.ChannelExact}
	switch {
	case exactVersion.MatchString(t.Version):
		v, err := fleet.ParseVersion(t.Version)
		if err != nil {
			c.bad(version, "is not a version", "write major, minor and patch, such as 1.35.4")
		}
		res.Version = v
	case minorVersion.MatchString(t.Version):
		minor := strings.TrimSuffix(strings.TrimSuffix(strings.TrimPrefix(t.Version, "v"), ".x"), ".*")
		c.bad(version, "is a minor, and nothing says which patch of it", "write an exact patch, such as "+minor+".4, or follow a channel: target: {channel: stable}")
	case t.Version == "latest":
		c.bad(version, "is not a version", "write target: {channel: rapid} for the newest minor, {channel: stable} for the one before it")
	case exactVersion.MatchString(strings.TrimPrefix(t.Version, "v")):
		c.bad(version, "has a letter in front", "write "+strings.TrimPrefix(t.Version, "v"))
	default:
		near := nearest(t.Version, []string{"stable", "rapid", "patch", "node-image"})
		if near != "" {
			c.bad(version, "is not a version", "write target: {channel: "+near+"}")
			break
		}
		c.bad(version, "is not a version that Kubernetes has", "write major, minor and patch without more, such as 1.35.4")
	}
	return res
}

// freezes checks the freezes of the fleet or of a ring.
func (c *checker) freezes(path string, freezes []v1alpha1.Freeze) []fleet.Freeze {
	var res []fleet.Freeze
	names := map[string]string{}
	for i, f := range freezes {
		at := item(path, i)
		c.name(field(at, "name"), f.Name)
		c.once(names, field(at, "name"), f.Name)
		zone := c.zoneOf(at, f.TimeZone, !f.From.Fixed || !f.Until.Fixed)
		from, until := field(at, "from"), field(at, "until")
		if !c.sound(from, until) || zone == nil {
			continue
		}
		z := fleet.Freeze{Name: f.Name, From: moment(f.From, zone), Until: moment(f.Until, zone), TimeZone: zone.String()}
		switch {
		case !c.has(from) || !c.has(until):
			continue // required, and reported
		case !z.From.Before(z.Until):
			c.bad(until, "is not after the freeze begins", "until is the first moment after the freeze: for one whole day write the day after")
		case z.Until.Sub(z.From) > maxFreeze:
			c.bad(until, "makes a freeze of more than a year", "a freeze is for a while: to stop a fleet or a ring, take it out of the file or pause it")
		}
		res = append(res, z)
	}
	return res
}

const maxFreeze = 366 * 24 * time.Hour

// moment is when a clock in a zone shows what was written.
func moment(m v1alpha1.Moment, zone *time.Location) time.Time {
	if m.Fixed {
		return m.Clock
	}
	return window.First(m.Clock, zone)
}

// acceptances checks the accepted findings.
func (c *checker) acceptances(path string, list []v1alpha1.Acceptance) []fleet.Acceptance {
	var res []fleet.Acceptance
	seen := map[[3]string]int{}
	for i, a := range list {
		at := item(path, i)
		c.name(field(at, "finding"), a.Finding)
		c.pattern(field(at, "cluster"), a.Cluster, anyName)
		c.pattern(field(at, "object"), a.Object, anyName)
		key := [3]string{a.Finding, a.Cluster, a.Object}
		if first, twice := seen[key]; twice && c.sound(at) {
			c.bad(at, "accepts what is already accepted", fmt.Sprintf("see %s: keep one of them", item(path, first)))
		} else {
			seen[key] = i
		}
		zone := time.UTC
		if loaded, err := loadZone(c.zone); err == nil {
			zone = loaded
		}
		until := moment(a.Until, zone)
		if c.has(field(at, "until")) && c.sound(field(at, "until")) && !c.now.IsZero() && !until.After(c.now) {
			c.bad(field(at, "until"), "has passed: the finding is no longer accepted", "ask "+ownerOf(a)+" again and give a new date, or remove the acceptance")
		}
		res = append(res, fleet.Acceptance{
			Finding: a.Finding, Cluster: everything(a.Cluster), Object: everything(a.Object),
			Owner: a.Owner, Reason: a.Reason, Until: until,
		})
	}
	return res
}

// ownerOf names whom to ask about an acceptance.
func ownerOf(a v1alpha1.Acceptance) string {
	if a.Owner == "" {
		return "the owner"
	}
	return a.Owner
}

// everything turns the pattern that matches all into no pattern.
func everything(pattern string) string {
	if strings.Trim(pattern, "*") == "" {
		return ""
	}
	return pattern
}

// once reports a name that is taken. names says by which path.
func (c *checker) once(names map[string]string, path, name string) {
	if name == "" || !c.sound(path) {
		return
	}
	if first, twice := names[name]; twice {
		c.bad(path, "is already taken", first+" has this name: choose another")
		return
	}
	names[name] = path
}

// path checks a path in the file system and makes it independent of where
// Liftlock was started.
func (c *checker) path(path, file string) string {
	if file == "" {
		return ""
	}
	switch {
	case strings.HasPrefix(file, "~"):
		c.bad(path, "begins with ~, which is not expanded", "write the whole path, or one relative to this file")
	case strings.Contains(file, "$"), strings.Contains(file, "%"):
		c.bad(path, "has a variable in it, which is not expanded", "write the whole path, or one relative to this file")
	case strings.Contains(file, "://"):
		c.bad(path, "is an address, not a file", "write the path of a file")
	case strings.HasSuffix(file, "/"):
		c.bad(path, "is a folder, not a file", "write the path of a file")
	}
	if filepath.IsAbs(file) {
		return filepath.Clean(file)
	}
	return filepath.Join(c.folder, file)
}
