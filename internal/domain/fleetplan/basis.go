package fleetplan

import (
	"fmt"
	"slices"
	"strings"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// Basis is what a plan was made from, as far as it must still be so when it is
// carried out.
type Basis struct {
	Clusters []BasisCluster `json:"clusters"`
	// Offers are the versions on offer in each region, previews left out.
	Offers []BasisOffers `json:"offers"`
	// Images is the newest node image of each family, where the first ring goes to it.
	Images map[string]string `json:"images"`
	// Ledger is what was proven last of each kind and subject.
	Ledger []fleet.LedgerEntry `json:"ledger"`
	// Stops are all versions that control planes are raised to.
	Stops []fleet.Version `json:"stops"`
}

// BasisCluster is a cluster as it was.
type BasisCluster struct {
	ID             string        `json:"id"`
	Name           string        `json:"name"`
	Ring           string        `json:"ring"`
	Version        fleet.Version `json:"version"`
	To             fleet.Version `json:"to,omitzero"`
	Stopped        bool          `json:"stopped,omitempty"`
	UpgradeChannel string        `json:"upgradeChannel,omitempty"`
	NodeOSChannel  string        `json:"nodeOSUpgradeChannel,omitempty"`
	Pools          []BasisPool   `json:"pools"`
}

// BasisPool is a pool as it was.
type BasisPool struct {
	Name       string            `json:"name"`
	Version    fleet.Version     `json:"version"`
	Image      string            `json:"image,omitempty"`
	VMSize     string            `json:"vmSize"`
	Count      int               `json:"count"`
	Autoscaler *fleet.Autoscaler `json:"autoscaler,omitempty"`
	Strategy   fleet.Strategy    `json:"strategy"`
	Stopped    bool              `json:"stopped,omitempty"`
}

// BasisOffers are the versions on offer in a region of a subscription.
type BasisOffers struct {
	Subscription string          `json:"subscription"`
	Location     string          `json:"location"`
	Versions     []fleet.Version `json:"versions"`
}

// Drift names everything in which the world of now is no longer what a plan was
// made from, in words. What moves without changing the plan is left out: the
// number of nodes of a pool that is autoscaled, and versions that came on offer.
func Drift(then, now *Basis) []string {
	var moved []string
	for i := range then.Clusters {
		was := &then.Clusters[i]
		at := slices.IndexFunc(now.Clusters, func(c BasisCluster) bool { return c.ID == was.ID })
		if at < 0 {
			moved = append(moved, fmt.Sprintf("cluster %s is gone", was.Name))
			continue
		}
		moved = append(moved, was.drift(&now.Clusters[at])...)
	}
	for _, c := range now.Clusters {
		if !slices.ContainsFunc(then.Clusters, func(b BasisCluster) bool { return b.ID == c.ID }) {
			moved = append(moved, fmt.Sprintf("cluster %s (%s) is new in %s", c.Name, c.Version, ringWord(c.Ring)))
		}
	}
	moved = append(moved, offersDrift(then, now)...)
	for _, family := range sorted(then.Images) {
		if is, was := now.Images[family], then.Images[family]; is != was {
			moved = append(moved, fmt.Sprintf("the newest node image of %s is %s, was %s", family, orNone(is), was))
		}
	}
	return append(moved, ledgerDrift(then, now)...)
}

func (was *BasisCluster) drift(is *BasisCluster) []string {
	var moved []string
	of := "cluster " + was.Name
	differ := func(what string, is, was any) {
		if is != was {
			moved = append(moved, fmt.Sprintf("%s%s is %v, was %v", of, what, is, was))
		}
	}
	if is.Ring != was.Ring {
		moved = append(moved, fmt.Sprintf("%s is in %s, was in %s", of, ringWord(is.Ring), ringWord(was.Ring)))
	}
	differ("", is.Version.String(), was.Version.String())
	differ("", running(is.Stopped), running(was.Stopped))
	differ("'s upgrade channel", channel(is.UpgradeChannel), channel(was.UpgradeChannel))
	differ("'s node OS upgrade channel", channel(is.NodeOSChannel), channel(was.NodeOSChannel))
	for _, p := range was.Pools {
		at := slices.IndexFunc(is.Pools, func(q BasisPool) bool { return strings.EqualFold(q.Name, p.Name) })
		if at < 0 {
			moved = append(moved, fmt.Sprintf("%s's pool %s is gone", of, p.Name))
			continue
		}
		q := is.Pools[at]
		pool := "'s pool " + p.Name
		differ(pool, q.Version.String(), p.Version.String())
		differ(pool+"'s node image", orNone(q.Image), orNone(p.Image))
		differ(pool+"'s VM size", q.VMSize, p.VMSize)
		differ(pool+"'s autoscaler", bounds(q.Autoscaler), bounds(p.Autoscaler))
		differ(pool, running(q.Stopped), running(p.Stopped))
		differ(pool+"'s strategy", q.Strategy, p.Strategy)
		if q.Autoscaler == nil && p.Autoscaler == nil {
			differ(pool+"'s number of nodes", q.Count, p.Count)
		}
	}
	for _, q := range is.Pools {
		if !slices.ContainsFunc(was.Pools, func(p BasisPool) bool { return strings.EqualFold(q.Name, p.Name) }) {
			moved = append(moved, fmt.Sprintf("%s's pool %s (%s) is new", of, q.Name, q.Version))
		}
	}
	return moved
}

// offersDrift names the versions that the plan needs and that were taken off.
func offersDrift(then, now *Basis) []string {
	var moved []string
	for _, was := range then.Offers {
		at := slices.IndexFunc(now.Offers, func(o BasisOffers) bool {
			return strings.EqualFold(o.Subscription, was.Subscription) && strings.EqualFold(o.Location, was.Location)
		})
		if at < 0 {
			continue // no cluster is left there, which was said
		}
		for _, v := range then.Stops {
			if slices.Contains(was.Versions, v) && !slices.Contains(now.Offers[at].Versions, v) {
				moved = append(moved, fmt.Sprintf("%s is no longer on offer in %s", v, was.Location))
			}
		}
	}
	return moved
}

func ledgerDrift(then, now *Basis) []string {
	var moved []string
	for _, e := range now.Ledger {
		at := slices.IndexFunc(then.Ledger, func(b fleet.LedgerEntry) bool { return b.Kind == e.Kind && b.Subject == e.Subject })
		if at >= 0 && then.Ledger[at].Version == e.Version && then.Ledger[at].Rollout == e.Rollout && then.Ledger[at].Ring == e.Ring {
			continue
		}
		was := "nothing"
		if at >= 0 {
			was = held(&then.Ledger[at])
		}
		moved = append(moved, fmt.Sprintf("the ledger now holds for %s %s %s, held %s", e.Kind, e.Subject, held(&e), was))
	}
	for _, e := range then.Ledger {
		if !slices.ContainsFunc(now.Ledger, func(b fleet.LedgerEntry) bool { return b.Kind == e.Kind && b.Subject == e.Subject }) {
			moved = append(moved, fmt.Sprintf("the ledger no longer holds %s %s %s; it is another state folder, or it was lost", e.Kind, e.Subject, held(&e)))
		}
	}
	return moved
}

func held(e *fleet.LedgerEntry) string {
	return fmt.Sprintf("%s (proven by ring %s in rollout %s)", e.Version, e.Ring, e.Rollout)
}

// NewestProven keeps of a ledger what was proven last of each kind and subject.
// Entries come oldest first.
func NewestProven(entries []fleet.LedgerEntry) []fleet.LedgerEntry {
	newest := []fleet.LedgerEntry{}
	for _, e := range entries {
		e.Evidence = "" // long, and nothing is decided by it
		at := slices.IndexFunc(newest, func(b fleet.LedgerEntry) bool { return b.Kind == e.Kind && b.Subject == e.Subject })
		if at >= 0 {
			newest[at] = e
			continue
		}
		newest = append(newest, e)
	}
	return newest
}

func ringWord(ring string) string {
	if ring == "" {
		return "no ring"
	}
	return "ring " + ring
}

func running(stopped bool) string {
	if stopped {
		return "stopped"
	}
	return "running"
}

// channel writes a channel; "" and none are the same.
func channel(s string) string {
	if s == "" || strings.EqualFold(s, "none") {
		return "none"
	}
	return s
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

func bounds(a *fleet.Autoscaler) string {
	if a == nil {
		return "off"
	}
	return fmt.Sprintf("%d to %d nodes", a.Min, a.Max)
}

func sorted(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
