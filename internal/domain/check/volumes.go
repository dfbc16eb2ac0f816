package check

import (
	"fmt"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// attachCheck holds the volumes of a pool against what as many new nodes can
// attach.
func attachCheck() Check {
	return Check{
		Name: "attach-limits", Group: InCluster, Title: "Volumes that new nodes could hardly attach", Needs: []Need{NeedAttach, NeedSnapshot},
		Doc:   "A node can have so many disks attached, by its machine size, and a disk is bound to its zone. Where the nodes of a pool in a zone are nearly full of disks, one new node less there, or a slow detach, leaves pods Pending.",
		Finds: []Kind{{"volume-attach-limit", "a pool's volumes in a zone take nearly all that its nodes there can attach"}},
		Run:   judgeAttached,
	}
}

func judgeAttached(f *Facts) []fleet.Finding {
	limits := map[string]int{} // the largest of a node's drivers
	for _, a := range f.Attach {
		limits[a.Node] = max(limits[a.Node], a.Limit)
	}
	attached := map[string]int{}
	for i := range f.Snapshot.Claims {
		for _, node := range f.Snapshot.Claims[i].AttachedTo {
			attached[node]++
		}
	}
	type place struct{ pool, zone string }
	type load struct{ nodes, volumes, places int }
	loads := map[place]load{}
	m := f.moving()
	var order []place
	for i := range f.Snapshot.Nodes {
		n := &f.Snapshot.Nodes[i]
		if _, leaves := m.leaving[n.Name]; !leaves || limits[n.Name] == 0 {
			continue
		}
		at := place{n.Pool, n.Zone}
		l, known := loads[at]
		if !known {
			order = append(order, at)
		}
		l.nodes++
		l.volumes += attached[n.Name]
		l.places += limits[n.Name]
		loads[at] = l
	}
	var out []fleet.Finding
	for _, at := range order {
		l := loads[at]
		if l.volumes*10 < l.places*9 {
			continue
		}
		where := poolWord(at.pool)
		if at.zone != "" {
			where += " in zone " + at.zone
		}
		out = append(out, fleet.Finding{
			ID: "volume-attach-limit", Severity: fleet.Warning, Object: "Pool/" + at.pool, Owner: at.zone,
			What:   fmt.Sprintf("%s attached to %s of %s, which can attach %d", counted(l.volumes, "volume is", "volumes are"), counted(l.nodes, "node", "nodes"), where, l.places),
			Why:    "as many new nodes have hardly a place to spare, and the provider chooses the zones of new nodes",
			Remedy: "add a node to the pool beforehand; or use a machine size that attaches more disks",
		})
	}
	return out
}
