package helm

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/domain/lifecycle"
)

// Stored is a Secret or ConfigMap that holds a revision of a release, from a live
// cluster or from a file.
type Stored struct {
	Namespace, Name string
	Labels          map[string]string
	// Data is what its data has under "release". A Secret's may be as the API
	// server sends it, in base64, or decoded already.
	Data []byte
}

// Prefix begins the names of Helm's Secrets and ConfigMaps.
const Prefix = "sh.helm.release.v1."

// Reader reads the objects of a manifest, and says what of it was not read.
type Reader func(name string, text []byte) (objects []fleet.Object, unread []string)

// revision is a revision of a release, before it is unpacked.
type revision struct {
	Stored
	release string
	number  int
	status  string // "" where no label tells
}

// Releases lists the objects of every release as its newest deployed revision has
// them: what Helm compares with at the next upgrade, and fails over if the cluster
// no longer serves it. Where none was ever deployed, the newest one counts, as it
// does for Helm. Older revisions only tell of the past.
//
// unread says, a line each, which releases could not be read, and why.
func Releases(stored []Stored, read Reader) (objects []fleet.Object, unread []string) {
	type key struct{ namespace, release string }
	byRelease := map[key][]revision{}
	for _, s := range stored {
		r, ours, why := identify(s)
		switch {
		case why != "":
			unread = append(unread, s.Namespace+"/"+s.Name+": "+why)
		case ours:
			k := key{s.Namespace, r.release}
			byRelease[k] = append(byRelease[k], r)
		}
	}
	keys := slices.SortedFunc(maps.Keys(byRelease), func(a, b key) int {
		return cmp.Or(cmp.Compare(a.namespace, b.namespace), cmp.Compare(a.release, b.release))
	})
	for _, k := range keys {
		more, problems := newest(byRelease[k], read)
		objects = append(objects, more...)
		unread = append(unread, problems...)
	}
	return objects, unread
}

// identify tells which revision a Secret or ConfigMap holds, if any.
func identify(s Stored) (r revision, ours bool, why string) {
	if s.Labels["OWNER"] == "TILLER" {
		return r, false, "is a release of Helm 2, which is not read; move it to Helm 3 first"
	}
	rest, found := strings.CutPrefix(s.Name, Prefix)
	if !found {
		return r, false, ""
	}
	i := strings.LastIndex(rest, ".v")
	if i <= 0 {
		return r, false, "is named like a release, without a revision"
	}
	number, err := strconv.Atoi(rest[i+2:])
	if err != nil || number < 1 {
		return r, false, "is named like a release, and its revision is no number"
	}
	return revision{Stored: s, release: cmp.Or(s.Labels["name"], rest[:i]), number: number, status: s.Labels["status"]}, true, ""
}

// newest reads the revision of a release that counts.
func newest(revisions []revision, read Reader) (objects []fleet.Object, unread []string) {
	slices.SortStableFunc(revisions, func(a, b revision) int { return cmp.Compare(b.number, a.number) })
	var fallback *packed
	var fallbackOf *revision
	for i := range revisions {
		r := &revisions[i]
		if r.status != "" && r.status != "deployed" && (fallback != nil || ended(r.status)) {
			continue // its label says enough
		}
		p, err := unpack(r.Data)
		if err != nil {
			unread = append(unread, r.place()+": "+err.Error())
			if r.status == "deployed" {
				return nil, unread // the one that counts
			}
			continue
		}
		switch status := cmp.Or(p.Info.Status, r.status); {
		case status == "deployed":
			objects, more := r.objects(p, read)
			return objects, append(unread, more...)
		case !ended(status) && fallback == nil:
			fallback, fallbackOf = p, r
		}
	}
	if fallback == nil {
		return nil, unread
	}
	objects, more := fallbackOf.objects(fallback, read)
	return objects, append(unread, more...)
}

// ended reports whether a revision of that status is past: Helm does not compare
// with it.
func ended(status string) bool {
	return status == "superseded" || status == "uninstalled" || status == "uninstalling"
}

// place is "release shop/web, revision 3".
func (r *revision) place() string {
	return fmt.Sprintf("release %s/%s, revision %d", r.Namespace, r.release, r.number)
}

// objects lists the objects of a revision's manifest and of its hooks.
func (r *revision) objects(p *packed, read Reader) (objects []fleet.Object, unread []string) {
	release := "release " + r.Namespace + "/" + r.release
	at, err := time.Parse(time.RFC3339Nano, p.Info.LastDeployed)
	if err != nil {
		at = time.Time{} // only for people to see
	}
	take := func(name, text, what string) {
		found, problems := read(name, []byte(text))
		for _, o := range found {
			o.Source, o.Where, o.By, o.Owner, o.At = fleet.FromRelease, r.place()+what, release, release, at
			if o.Namespace == "" && !lifecycle.ClusterScoped(o.APIVersion, o.Kind) {
				o.Namespace = r.Namespace
			}
			objects = append(objects, o)
		}
		unread = append(unread, problems...)
	}
	take(r.place(), p.Manifest, "")
	for _, h := range p.Hooks {
		take(r.place()+", hook "+h.Path, h.Manifest, ", hook "+h.Path)
	}
	return objects, unread
}
