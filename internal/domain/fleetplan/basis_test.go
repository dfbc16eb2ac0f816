package fleetplan

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

func v(s string) fleet.Version { return fleet.MustParseVersion(s) }

// oneBasis is what a plan of two clusters was made from.
func oneBasis() Basis {
	return Basis{
		Clusters: []BasisCluster{
			{ID: "1", Name: "prod-west", Ring: "prod", Version: v("1.34.2"), To: v("1.35.4"), Pools: []BasisPool{
				{Name: "apps", Version: v("1.34.2"), Image: "img-1", VMSize: "D4", Count: 3, Strategy: fleet.BlueGreen},
				{Name: "batch", Version: v("1.34.2"), Image: "img-1", VMSize: "D4", Count: 5, Autoscaler: &fleet.Autoscaler{Min: 1, Max: 9}, Strategy: fleet.Buffer},
			}},
			{ID: "2", Name: "prod-east", Ring: "prod", Version: v("1.34.2"), Pools: []BasisPool{}},
		},
		Offers: []BasisOffers{{Subscription: "s", Location: "westeurope", Versions: []fleet.Version{v("1.34.2"), v("1.35.4")}}},
		Images: map[string]string{"Ubuntu": "Ubuntu-1"},
		Ledger: []fleet.LedgerEntry{{Kind: fleet.LedgerKubernetes, Subject: "aks", Version: "1.34.2", Ring: "prod", Rollout: "r1"}},
		Stops:  []fleet.Version{v("1.35.4")},
	}
}

func TestDrift(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(b *Basis)
		want   string
	}{
		"nothing moved":             {func(*Basis) {}, ""},
		"an autoscaler at work":     {func(b *Basis) { b.Clusters[0].Pools[1].Count = 9 }, ""},
		"a new version on offer":    {func(b *Basis) { b.Offers[0].Versions = append(b.Offers[0].Versions, v("1.36.1")) }, ""},
		"none and empty":            {func(b *Basis) { b.Clusters[0].UpgradeChannel = "None" }, ""},
		"a control plane":           {func(b *Basis) { b.Clusters[0].Version = v("1.34.3") }, "cluster prod-west is 1.34.3, was 1.34.2"},
		"a pool":                    {func(b *Basis) { b.Clusters[0].Pools[0].Version = v("1.34.3") }, "cluster prod-west's pool apps is 1.34.3, was 1.34.2"},
		"a node image":              {func(b *Basis) { b.Clusters[0].Pools[0].Image = "img-2" }, "cluster prod-west's pool apps's node image is img-2, was img-1"},
		"a number of nodes":         {func(b *Basis) { b.Clusters[0].Pools[0].Count = 4 }, "cluster prod-west's pool apps's number of nodes is 4, was 3"},
		"bounds":                    {func(b *Basis) { b.Clusters[0].Pools[1].Autoscaler.Max = 10 }, "cluster prod-west's pool batch's autoscaler is 1 to 10 nodes, was 1 to 9 nodes"},
		"an autoscaler that is new": {func(b *Basis) { b.Clusters[0].Pools[0].Autoscaler = &fleet.Autoscaler{Min: 1, Max: 2} }, "cluster prod-west's pool apps's autoscaler is 1 to 2 nodes, was off"},
		"a VM size":                 {func(b *Basis) { b.Clusters[0].Pools[0].VMSize = "D8" }, "cluster prod-west's pool apps's VM size is D8, was D4"},
		"a pool that is gone":       {func(b *Basis) { b.Clusters[0].Pools = b.Clusters[0].Pools[:1] }, "cluster prod-west's pool batch is gone"},
		"a pool that is new":        {func(b *Basis) { b.Clusters[1].Pools = []BasisPool{{Name: "gpu", Version: v("1.34.2")}} }, "cluster prod-east's pool gpu (1.34.2) is new"},
		"a cluster that stopped":    {func(b *Basis) { b.Clusters[1].Stopped = true }, "cluster prod-east is stopped, was running"},
		"a cluster that is gone":    {func(b *Basis) { b.Clusters = b.Clusters[:1] }, "cluster prod-east is gone"},
		"a cluster that is new": {func(b *Basis) {
			b.Clusters = append(b.Clusters, BasisCluster{ID: "3", Name: "prod-north", Ring: "prod", Version: v("1.33.1")})
		}, "cluster prod-north (1.33.1) is new in ring prod"},
		"a cluster of another ring":    {func(b *Basis) { b.Clusters[1].Ring = "dev" }, "cluster prod-east is in ring dev, was in ring prod"},
		"a channel":                    {func(b *Basis) { b.Clusters[0].UpgradeChannel = "stable" }, "cluster prod-west's upgrade channel is stable, was none"},
		"another channel":              {func(b *Basis) { b.Clusters[0].NodeOSChannel = "NodeImage" }, "cluster prod-west's node OS upgrade channel is NodeImage, was none"},
		"a version that was withdrawn": {func(b *Basis) { b.Offers[0].Versions = b.Offers[0].Versions[:1] }, "1.35.4 is no longer on offer in westeurope"},
		"a version nobody goes to":     {func(b *Basis) { b.Offers[0].Versions = b.Offers[0].Versions[1:] }, ""},
		"the newest image":             {func(b *Basis) { b.Images["Ubuntu"] = "Ubuntu-2" }, "the newest node image of Ubuntu is Ubuntu-2, was Ubuntu-1"},
		"the ledger": {
			func(b *Basis) { b.Ledger[0].Version, b.Ledger[0].Rollout = "1.35.1", "r2" },
			"the ledger now holds for kubernetes aks 1.35.1 (proven by ring prod in rollout r2), held 1.34.2 (proven by ring prod in rollout r1)",
		},
		"a first entry": {func(b *Basis) {
			b.Ledger = append(b.Ledger, fleet.LedgerEntry{Kind: fleet.LedgerNodeImage, Subject: "Ubuntu", Version: "Ubuntu-1", Ring: "dev", Rollout: "r2"})
		}, "the ledger now holds for nodeImage Ubuntu Ubuntu-1 (proven by ring dev in rollout r2), held nothing"},
		"another ledger": {func(b *Basis) { b.Ledger = nil }, "the ledger no longer holds kubernetes aks 1.34.2 (proven by ring prod in rollout r1); it is another state folder, or it was lost"},
		"all at once": {func(b *Basis) {
			b.Clusters[0].Version, b.Clusters[0].Pools[0].Version, b.Images["Ubuntu"] = v("1.35.4"), v("1.35.4"), ""
		}, "cluster prod-west is 1.35.4, was 1.34.2\ncluster prod-west's pool apps is 1.35.4, was 1.34.2\nthe newest node image of Ubuntu is none, was Ubuntu-1"},
	} {
		t.Run(name, func(t *testing.T) {
			// As it is read from a file: what is kept must say as much as what was made.
			then, now := kept(t, oneBasis()), oneBasis()
			tc.change(&now)
			if diff := cmp.Diff(tc.want, strings.Join(Drift(&then, &now), "\n")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func kept(t *testing.T, b Basis) (out Basis) {
	t.Helper()
	text, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestNewestProven(t *testing.T) {
	entry := func(subject, version string) fleet.LedgerEntry {
		return fleet.LedgerEntry{Kind: fleet.LedgerKubernetes, Subject: subject, Version: version, Evidence: "a long story"}
	}
	got := ""
	for _, e := range NewestProven([]fleet.LedgerEntry{entry("aks", "1"), entry("rke", "1"), entry("aks", "2")}) {
		got += e.Subject + e.Version + e.Evidence + " "
	}
	if got != "aks2 rke1 " {
		t.Errorf("got %s", got)
	}
}
